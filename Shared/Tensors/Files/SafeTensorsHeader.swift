import Foundation

/// The checked header of a safetensors file.
struct SafeTensorsHeader {
    /// The types of values that are read.
    static let readableTypes: Set<String> = ["F32", "F16", "BF16"]
    /// A longer header is refused, as the format's own reader does: it is a damaged length.
    static let longest: UInt64 = 100_000_000
    private static let byteCounts = [
        "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4,
        "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
    ]

    let entries: [String: SafeTensors.Entry]
    let metadata: [String: String]

    private struct Description: Decodable {
        let dtype: String
        let shape: [Int]
        let data_offsets: [Int]
    }

    private enum Value: Decodable {
        case tensor(Description)
        case metadata([String: String])

        init(from decoder: any Decoder) throws {
            if let description = try? Description(from: decoder) {
                self = .tensor(description)
            } else {
                self = .metadata(try [String: String](from: decoder))
            }
        }
    }

    init(_ content: Data, path: String) throws(SafeTensorsError) {
        guard content.count >= 8 else { throw .malformed(path: path, reason: "it has \(content.count) bytes") }
        let length = content.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= Self.longest, length <= UInt64(content.count - 8) else {
            throw .malformed(path: path, reason: "the header's length is \(length) in a file of \(content.count) bytes")
        }
        let start = 8 + Int(length)
        let values: [String: Value]
        do {
            let header = content.subdata(in: 8..<start)
            values = try JSONDecoder().decode([String: Value].self, from: header)
        } catch {
            throw .malformed(path: path, reason: "the header is not a JSON object that describes tensors")
        }
        var entries: [String: SafeTensors.Entry] = [:]
        var metadata: [String: String] = [:]
        for (name, value) in values {
            switch value {
            case .metadata(let notes) where name == "__metadata__": metadata = notes
            case .metadata: throw .malformed(path: path, reason: "the header's entry \(name) describes no tensor")
            case .tensor(let description):
                entries[name] = try Self.check(description, name, start: start, path: path)
            }
        }
        try Self.checkPlaces(entries, from: start, to: content.count, path: path)
        self.entries = entries
        self.metadata = metadata
    }

    private static func check(
        _ description: Description,
        _ name: String,
        start: Int,
        path: String
    ) throws(SafeTensorsError) -> SafeTensors.Entry {
        guard let size = byteCounts[description.dtype] else {
            throw .unsupportedType(path: path, name: name, type: description.dtype)
        }
        var bytes = size
        for dimension in description.shape {
            let (product, overflow) = bytes.multipliedReportingOverflow(by: dimension)
            guard dimension >= 0, !overflow else {
                throw .malformed(path: path, reason: "tensor \(name) has the shape \(description.shape)")
            }
            bytes = product
        }
        let offsets = description.data_offsets
        guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= Int.max - start,
            offsets[1] - offsets[0] == bytes
        else {
            throw .malformed(path: path, reason: "tensor \(name) of \(bytes) bytes lies at \(offsets)")
        }
        return SafeTensors.Entry(
            type: description.dtype,
            shape: description.shape,
            range: start + offsets[0]..<start + offsets[1]
        )
    }

    /// The tensors follow one another without gap or overlap, to the end of the file.
    private static func checkPlaces(
        _ entries: [String: SafeTensors.Entry],
        from start: Int,
        to end: Int,
        path: String
    ) throws(SafeTensorsError) {
        var position = start
        let inOrder = entries.sorted {
            ($0.value.range.lowerBound, $0.value.range.upperBound)
                < ($1.value.range.lowerBound, $1.value.range.upperBound)
        }
        for (name, entry) in inOrder {
            guard entry.range.lowerBound == position else {
                throw .malformed(path: path, reason: "tensor \(name) does not follow the one before it")
            }
            position = entry.range.upperBound
        }
        guard position == end else {
            throw .malformed(path: path, reason: "the tensors end at byte \(position), the file has \(end)")
        }
    }
}
