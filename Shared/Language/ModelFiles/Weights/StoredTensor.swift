import CModelFiles
import Foundation
public import Tensors

/// A tensor of a model file, in the type it is stored in: memory-mapped, so that it takes no memory until it is read.
///
/// Rows are those of Hugging Face's layout. Where the file has them in another order, `rowOrder` says where each lies, so
/// that quantised rows need not be decoded to be put back.
///
/// Shapes: the last dimension is a row's width; a tensor of one dimension is a single row.
public struct StoredTensor: Sendable {
    /// Where a row lies among the stored ones.
    public enum RowOrder: Sendable, Equatable {
        /// At its own place.
        case stored
        /// Rows of a head lie in pairs of those that are rotated with each other: row i, then row i + headWidth / 2.
        ///
        /// That is the order of q and k in GGUF's llama architecture, and of Meta's own files.
        /// - Source: ggml-org/llama.cpp, `convert_hf_to_gguf.py`, `LlamaModel.permute`.
        case rotaryPairs(headWidth: Int)

        /// The place of the row among the stored ones.
        @inline(__always)
        public func place(of row: Int) -> Int {
            switch self {
            case .stored: return row
            case .rotaryPairs(let headWidth):
                let (head, inner) = row.quotientAndRemainder(dividingBy: headWidth)
                let half = headWidth / 2
                return head * headWidth + (inner < half ? 2 * inner : 2 * (inner - half) + 1)
            }
        }
    }

    /// The file it is in.
    public let path: String
    /// Its name in Hugging Face's files.
    public let name: String
    /// The type of its values.
    public let type: StoredType
    /// Its shape, as Hugging Face has it.
    public let shape: [Int]
    /// Where its rows lie.
    public let rowOrder: RowOrder
    private let bytes: Data

    /// Makes a tensor of bytes, which are as many as type and shape need.
    init(
        path: String,
        name: String,
        type: StoredType,
        shape: [Int],
        rowOrder: RowOrder = .stored,
        bytes: Data
    ) {
        let columns = shape.last ?? 1
        precondition(columns % type.blockCount == 0, "\(name): rows of \(columns) values are no blocks of \(type)")
        self.path = path
        self.name = name
        self.type = type
        self.shape = shape
        self.rowOrder = rowOrder
        self.bytes = bytes
        precondition(bytes.count == rows * rowByteCount, "\(name) has \(bytes.count) bytes for the shape \(shape)")
    }

    /// Values in a row.
    public var columns: Int { shape.last ?? 1 }
    /// Number of rows.
    public var rows: Int { shape.dropLast().reduce(1, *) }
    /// Number of values.
    public var count: Int { rows * columns }
    /// Bytes of a row.
    public var rowByteCount: Int { columns / type.blockCount * type.blockByteCount }
    /// Bytes of all rows.
    public var byteCount: Int { bytes.count }

    /// Calls `body` with all bytes, rows in stored order; they are valid during the call, and may be not aligned.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // Foundation's rethrows does not know typed errors.
        let result: Swift.Result<Result, Failure> = bytes.withUnsafeBytes { bytes in
            do throws(Failure) {
                return .success(try body(bytes))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Writes rows as Float32, in Hugging Face's order, bit-identical to what the `gguf` package gives for the type.
    ///
    /// - Parameters:
    ///   - rows: which rows, within those there are.
    ///   - out: room for `rows.count * columns` values.
    public func decode(rows: Range<Int>, into out: UnsafeMutablePointer<Float>) {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows, "rows \(rows) of \(self.rows) of \(name)")
        guard !rows.isEmpty, columns > 0 else { return }
        let (width, columns, blocks) = (rowByteCount, columns, columns / type.blockCount)
        withBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            if rowOrder == .stored {
                let start = base + rows.lowerBound * width
                let isKnown = ul_decode_blocks(out, start, Int64(rows.count * blocks), Int32(type.number))
                return precondition(isKnown == 1, "no kernel decodes \(type)")
            }
            for (index, row) in rows.enumerated() {
                let start = base + rowOrder.place(of: row) * width
                let isKnown = ul_decode_blocks(out + index * columns, start, Int64(blocks), Int32(type.number))
                precondition(isKnown == 1, "no kernel decodes \(type)")
            }
        }
    }

    /// Rows as Float32, one after the other.
    public func values(rows: Range<Int>) -> [Float] {
        [Float](unsafeUninitializedCapacity: rows.count * columns) { buffer, count in
            if let base = buffer.baseAddress { decode(rows: rows, into: base) }
            count = rows.count * columns
        }
    }

    /// All values as a Float32 tensor of this shape, after a check that they are finite.
    ///
    /// - Throws: `ModelFileError.notFinite`.
    public func tensor() throws(ModelFileError) -> Tensor {
        try checkIsFinite()
        return Tensor(shape: shape) { decode(rows: 0..<rows, into: $0) }
    }

    /// Checks that every value is finite, as a model needs; of quantised values that their scales are.
    ///
    /// - Throws: `ModelFileError.notFinite` naming the first block that is not.
    public func checkIsFinite() throws(ModelFileError) {
        let blocks = Int64(count / type.blockCount)
        let place = withBytes { bytes in
            bytes.baseAddress.map { ul_first_not_finite_block($0, blocks, Int32(type.number)) } ?? -1
        }
        guard place < 0 else {
            throw .notFinite(path: path, tensor: name, index: Int(place) * type.blockCount)
        }
    }

    /// Rounds values to bfloat16: to the nearest, and to even between two.
    public static func bfloat16(_ values: [Float]) -> [UInt16] {
        [UInt16](unsafeUninitializedCapacity: values.count) { buffer, count in
            if let base = buffer.baseAddress { ul_encode_bfloat16(base, values, Int64(values.count)) }
            count = values.count
        }
    }
}
