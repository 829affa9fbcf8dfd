import Foundation

extension SafeTensors {
    private struct Description: Encodable {
        let dtype = "F32"
        let shape: [Int]
        let data_offsets: [Int]

        private enum CodingKeys: String, CodingKey { case dtype, shape, data_offsets }
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

    /// Writes tensors as F32, in the given order, and waits until they are on the disk.
    ///
    /// Equal tensors give equal bytes. Not atomic by itself: see `DurableFolder`.
    ///
    /// - Throws: `SafeTensorsError.unwritable`.
    public static func write(
        _ tensors: [NamedTensor],
        metadata: [String: String] = [:],
        to path: String
    ) throws(SafeTensorsError) {
        precondition(Set(tensors.map(\.name)).count == tensors.count, "two tensors of \(path) have one name")
        do {
            guard FileManager.default.createFile(atPath: path, contents: nil) else {
                throw CocoaError(.fileWriteUnknown)
            }
            let file = try FileHandle(forWritingTo: URL(filePath: path))
            defer { try? file.close() }
            try file.write(contentsOf: header(tensors, metadata))
            for named in tensors {
                let bytes = Data(bytes: named.tensor.base, count: named.tensor.count * MemoryLayout<Float>.stride)
                try file.write(contentsOf: bytes)
            }
            try file.synchronize()
        } catch {
            throw .unwritable(path: path, reason: reason(error))
        }
    }

    private static func header(_ tensors: [NamedTensor], _ metadata: [String: String]) throws -> Data {
        var values: [String: Value] = metadata.isEmpty ? [:] : ["__metadata__": .metadata(metadata)]
        var position = 0
        for named in tensors {
            let end = position + named.tensor.count * MemoryLayout<Float>.stride
            values[named.name] = .tensor(Description(shape: named.tensor.shape, data_offsets: [position, end]))
            position = end
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var json = try encoder.encode(values)
        // Spaces up to a multiple of 8, so that the values are aligned in a mapped file.
        json.append(Data(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8))
        let length = UInt64(json.count)
        return Data((0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }) + json
    }
}
