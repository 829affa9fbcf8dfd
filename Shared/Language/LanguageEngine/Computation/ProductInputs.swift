import CLanguageKernels

/// Activations at one place in memory, prepared for products with matrices of several formats.
///
/// Matrices of one kind share a prepared input, so each kind is prepared once.
final class ProductInputs {
    private let base: UnsafeMutablePointer<Float>
    private let width: Int
    private var inputs: [(kind: Int32, handle: OpaquePointer)] = []

    /// Describes rows of `width` numbers, one after the other.
    init(_ base: UnsafeMutablePointer<Float>, width: Int) {
        self.base = base
        self.width = width
    }

    deinit { for input in inputs { lk_input_destroy(input.handle) } }

    /// The input that a matrix is multiplied with.
    ///
    /// - Throws: `EngineError.invalid` when there is no memory for it.
    func input(for matrix: WeightMatrix) throws(EngineError) -> OpaquePointer {
        precondition(matrix.inputs == width, "a matrix reads \(matrix.inputs) inputs, these are \(width)")
        let kind = matrix.inputKind
        if let known = inputs.first(where: { $0.kind == kind }) { return known.handle }
        guard let handle = lk_input_create() else {
            throw .invalid(field: "memory", value: "used up", expected: "room for a product's input")
        }
        inputs.append((kind, handle))
        return handle
    }

    /// Every input that a matrix is multiplied with.
    var handles: [OpaquePointer] { inputs.map(\.handle) }

    /// Says how many rows the next products have; members prepare them.
    ///
    /// Allocates for more rows than ever before.
    ///
    /// - Throws: `EngineError.invalid` when there is no memory for so many.
    func begin(rows: Int) throws(EngineError) {
        for input in inputs {
            let status = lk_input_begin(input.handle, input.kind, base, Int64(width), Int64(rows), Int64(width))
            let isOutOfMemory = status == LK_ERROR_MEMORY
            if isOutOfMemory { throw .invalid(field: "memory", value: "used up", expected: "room for \(rows) rows") }
            precondition(status == LK_OK, "\(rows) rows of \(width) inputs of kind \(input.kind): status \(status)")
        }
    }
}
