import Foundation

/// Writes a safetensors file in pieces, so that tensors larger than memory can be written.
///
/// Names, types and shapes are declared first, because they form the header; then the values are appended in that
/// order, in pieces of any size. Not atomic by itself: see `DurableFile` and `DurableFolder`.
///
/// - Source: huggingface/safetensors, README, "Format".
public final class SafeTensorsWriter {
    /// The supported types of values.
    public enum ValueType: String, Sendable {
        /// 32-bit floating point.
        case float32 = "F32"
        /// IEEE half precision.
        case float16 = "F16"
        /// The upper half of a 32-bit floating point.
        case bfloat16 = "BF16"
        /// 32-bit signed integers.
        case int32 = "I32"

        var byteCount: Int {
            switch self {
            case .float32, .int32: 4
            case .float16, .bfloat16: 2
            }
        }
    }

    /// A tensor that will be appended.
    public struct Declaration: Sendable {
        let name: String
        let type: ValueType
        let shape: [Int]

        /// Declares a tensor.
        public init(_ name: String, _ type: ValueType = .float32, shape: [Int]) {
            self.name = name
            self.type = type
            self.shape = shape
        }

        var byteCount: Int { shape.reduce(type.byteCount, *) }
    }

    private struct Description: Encodable {
        let dtype: String
        let shape: [Int]
        let data_offsets: [Int]
    }

    private enum Value: Encodable {
        case tensor(Description)
        case metadata([String: String])

        func encode(to encoder: any Encoder) throws {
            switch self {
            case .tensor(let description): try description.encode(to: encoder)
            case .metadata(let notes): try notes.encode(to: encoder)
            }
        }
    }

    private let path: String
    private let file: FileHandle
    private let declared: Int
    private var written = 0

    /// Starts a file.
    ///
    /// - Parameters:
    ///   - path: the file; an existing one is truncated.
    ///   - tensors: the tensors that will be appended, in this order.
    ///   - metadata: stored with the tensors.
    /// - Throws: `SafeTensorsError.unwritable`, also when names and metadata are too long for the format.
    public init(
        path: String,
        tensors: [Declaration],
        metadata: [String: String] = [:]
    ) throws(SafeTensorsError) {
        precondition(Set(tensors.map(\.name)).count == tensors.count, "two tensors of \(path) have one name")
        self.path = path
        declared = tensors.reduce(0) { $0 + $1.byteCount }
        do {
            guard FileManager.default.createFile(atPath: path, contents: nil) else {
                throw CocoaError(.fileWriteUnknown)
            }
            file = try FileHandle(forWritingTo: URL(filePath: path))
            let header = try Self.header(tensors, metadata)
            guard header.count <= SafeTensorsHeader.longest else {
                throw CocoaError(
                    .fileWriteUnknown,
                    userInfo: [
                        NSLocalizedDescriptionKey:
                            "its header would have \(header.count) bytes, the format allows \(SafeTensorsHeader.longest)"
                    ]
                )
            }
            try file.write(contentsOf: header)
        } catch {
            throw .unwritable(path: path, reason: SafeTensors.reason(error))
        }
    }

    /// Appends values to the current tensor.
    ///
    /// - Throws: `SafeTensorsError.unwritable`.
    public func append(_ values: [Float]) throws(SafeTensorsError) { try append(values.withUnsafeBytes { Data($0) }) }

    /// Appends values to the current tensor.
    ///
    /// - Throws: `SafeTensorsError.unwritable`.
    public func append(_ values: [Int32]) throws(SafeTensorsError) { try append(values.withUnsafeBytes { Data($0) }) }

    /// Appends halves of either kind to the current tensor.
    ///
    /// - Throws: `SafeTensorsError.unwritable`.
    public func append(_ values: [UInt16]) throws(SafeTensorsError) { try append(values.withUnsafeBytes { Data($0) }) }

    /// Appends values as they lie in another file, little-endian.
    ///
    /// - Throws: `SafeTensorsError.unwritable`.
    public func append(bytes: UnsafeRawBufferPointer) throws(SafeTensorsError) { try append(Data(bytes)) }

    /// Appends the values of a whole tensor.
    ///
    /// - Throws: `SafeTensorsError.unwritable`.
    func append(_ tensor: Tensor) throws(SafeTensorsError) {
        try append(Data(bytes: tensor.base, count: tensor.count * MemoryLayout<Float>.stride))
    }

    private func append(_ bytes: Data) throws(SafeTensorsError) {
        written += bytes.count
        precondition(written <= declared, "\(written) bytes of tensors for \(path), which declares \(declared)")
        do {
            try file.write(contentsOf: bytes)
        } catch {
            throw .unwritable(path: path, reason: SafeTensors.reason(error))
        }
    }

    /// Finishes the file and syncs it to disk; everything that was declared must have been appended.
    ///
    /// - Throws: `SafeTensorsError.unwritable`.
    public func finish() throws(SafeTensorsError) {
        precondition(written == declared, "\(written) bytes of tensors for \(path), which declares \(declared)")
        do {
            try file.synchronize()
            try file.close()
        } catch {
            throw .unwritable(path: path, reason: SafeTensors.reason(error))
        }
    }

    private static func header(_ tensors: [Declaration], _ metadata: [String: String]) throws -> Data {
        var values: [String: Value] = metadata.isEmpty ? [:] : ["__metadata__": .metadata(metadata)]
        var position = 0
        for tensor in tensors {
            let end = position + tensor.byteCount
            values[tensor.name] = .tensor(
                Description(dtype: tensor.type.rawValue, shape: tensor.shape, data_offsets: [position, end])
            )
            position = end
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var json = try encoder.encode(values)
        // Pad with spaces to a multiple of 8, so that the values are aligned in a mapped file.
        json.append(Data(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8))
        let length = UInt64(json.count)
        return Data((0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }) + json
    }
}
