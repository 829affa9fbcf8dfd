import Foundation
import JSON

/// The checked header of a safetensors file.
struct SafeTensorsHeader {
    /// The supported types of values.
    static let readableTypes: Set<String> = ["F32", "F16", "BF16"]
    /// A longer header is rejected, as in the format's own reader: it means a damaged length.
    static let longest: UInt64 = 100_000_000
    private static let byteCounts = [
        "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4,
        "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
    ]

    let entries: [[UInt8]: SafeTensors.Entry]
    let metadata: [String: String]

    private struct Description {
        var dtype = ""
        var shape: [Int] = []
        var offsets: [Int] = []
    }

    private static let fields = FieldNames(of: "a tensor", [["dtype"], ["shape"], ["data_offsets"]])

    init(_ content: Data, path: String) throws(SafeTensorsError) {
        guard content.count >= 8 else { throw .malformed(path: path, reason: "it has \(content.count) bytes") }
        let length = content.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= Self.longest, length <= UInt64(content.count - 8) else {
            throw .malformed(path: path, reason: "the header's length is \(length) in a file of \(content.count) bytes")
        }
        let start = 8 + Int(length)
        let bytes = [UInt8](content[content.startIndex + 8..<content.startIndex + start])
        let (descriptions, metadata): ([(name: String, Description)], [String: String])
        do throws(JSONError) {
            (descriptions, metadata) = try Self.read(bytes)
        } catch {
            throw .malformed(path: path, reason: "the header is not a JSON object that describes tensors: \(error)")
        }
        var entries: [[UInt8]: SafeTensors.Entry] = [:]
        for (name, description) in descriptions {
            let entry = try Self.check(description, name, start: start, path: path)
            guard entries.updateValue(entry, forKey: Array(name.utf8)) == nil else {
                throw .malformed(path: path, reason: "the header describes tensor \(name) twice")
            }
        }
        try Self.checkPlaces(entries, from: start, to: content.count, path: path)
        self.entries = entries
        self.metadata = metadata
    }

    private static func read(
        _ bytes: [UInt8]
    ) throws(JSONError) -> (descriptions: [(name: String, Description)], metadata: [String: String]) {
        var scanner = JSONScanner(bytes)
        try scanner.beginObject()
        var descriptions: [(name: String, Description)] = []
        var metadata: [String: String] = [:]
        var isFirst = true
        while let place = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            let name = try scanner.unescaped(place)
            do throws(JSONError) {
                if name.utf8.elementsEqual("__metadata__".utf8) {
                    metadata = try notes(&scanner)
                } else {
                    descriptions.append((name, try description(&scanner)))
                }
            } catch {
                throw error.inField(name)
            }
        }
        try scanner.finish()
        return (descriptions, metadata)
    }

    private static func description(_ scanner: inout JSONScanner) throws(JSONError) -> Description {
        var description = Description()
        var found = 0
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(fields, unknown: &unknown) { (field, scanner) throws(JSONError) in
            found += 1
            switch field {
            case 0: description.dtype = try scanner.string()
            case 1: description.shape = try scanner.readArray { (number) throws(JSONError) in try number.integer() }
            default: description.offsets = try scanner.readArray { (number) throws(JSONError) in try number.integer() }
            }
        }
        guard found == 3 else {
            throw JSONError(reason: "describes no tensor: dtype, shape and data_offsets are needed")
        }
        return description
    }

    /// Strings by name; for a repeated name the last one wins, as nothing depends on them.
    private static func notes(_ scanner: inout JSONScanner) throws(JSONError) -> [String: String] {
        var notes: [String: String] = [:]
        try scanner.beginObject()
        var isFirst = true
        while let place = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            notes[try scanner.unescaped(place)] = try scanner.string()
        }
        return notes
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
        let offsets = description.offsets
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

    /// Checks that the tensors are contiguous, without gap or overlap, up to the end of the file.
    private static func checkPlaces(
        _ entries: [[UInt8]: SafeTensors.Entry],
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
                let text = String(decoding: name, as: UTF8.self)
                throw .malformed(path: path, reason: "tensor \(text) does not follow the one before it")
            }
            position = entry.range.upperBound
        }
        guard position == end else {
            throw .malformed(path: path, reason: "the tensors end at byte \(position), the file has \(end)")
        }
    }
}
