import Bytes
import Foundation
import Tensors

/// A GGUF file, version 3, opened for reading: metadata and tensors, memory-mapped.
///
/// The file is: `GGUF`, the version, the number of tensors and of keys; the keys with their values; name, shape, type and
/// offset of each tensor; then, aligned, the tensors' bytes. All numbers are little-endian. Dimensions are stored from
/// the fastest to the slowest, and given here the other way round, as everywhere else.
///
/// - Source: ggml-org/ggml, `docs/gguf.md` and `src/gguf.cpp`.
public struct GGUFFile: Sendable {
    /// A tensor of the file.
    struct Entry: Sendable {
        let type: StoredType
        let shape: [Int]
        let range: Range<Int>
    }

    /// The first bytes of every such file.
    static let magic = Array("GGUF".utf8)
    private static let version: UInt32 = 3
    private static let mostTensors = 65_536
    private static let longestName = 1_024
    private static let alignments = 8...1_048_576

    /// The path it was opened with.
    public let path: String
    /// Its keys and values.
    public let metadata: GGUFMetadata
    /// The names of its tensors, in the file's order.
    public let tensorNames: [String]
    private let entries: [TextKey: Entry]
    private let content: Data

    /// Opens a file and validates its header: every count, length, type and offset.
    ///
    /// - Throws: `ModelFileError` naming what is wrong.
    public init(path: String) throws(ModelFileError) {
        let content: Data
        do {
            content = try FileBytes.mapped(path)
        } catch {
            throw .unreadable(path: path, reason: error.reason)
        }
        try self.init(content, path: path)
    }

    /// Reads a file that is in memory.
    init(_ content: Data, path: String) throws(ModelFileError) {
        self.path = path
        self.content = content
        let header = content.withUnsafeBytes { bytes in
            var cursor = GGUFCursor(path: path, bytes: bytes)
            do throws(ModelFileError) {
                return Result<Header, ModelFileError>.success(try Header(&cursor, content))
            } catch {
                return .failure(error)
            }
        }
        (metadata, tensorNames, entries) = try header.get().parts
    }

    /// The shape of a tensor, by its name in the file; nil when there is none.
    public func shape(of name: String) -> [Int]? { entries[TextKey(name)]?.shape }

    /// A tensor by its name in the file, with rows as they are stored.
    ///
    /// - Throws: `ModelFileError.missing`.
    public func tensor(_ name: String) throws(ModelFileError) -> StoredTensor { try tensor(name, as: name) }

    /// A tensor under another name and with another order of rows.
    func tensor(
        _ name: String,
        as newName: String,
        rowOrder: StoredTensor.RowOrder = .stored
    ) throws(ModelFileError) -> StoredTensor {
        guard let entry = entries[TextKey(name)] else { throw .missing(path: path, tensor: name) }
        return StoredTensor(
            path: path,
            name: newName,
            type: entry.type,
            shape: entry.shape,
            rowOrder: rowOrder,
            bytes: content[content.startIndex + entry.range.lowerBound..<content.startIndex + entry.range.upperBound]
        )
    }

    // MARK: - Header

    /// What stands before the tensors' bytes.
    private struct Header {
        let parts: (GGUFMetadata, [String], [TextKey: Entry])

        init(_ cursor: inout GGUFCursor, _ content: Data) throws(ModelFileError) {
            let magic = try cursor.take(4, for: "the first bytes")
            guard cursor.bytes[magic].elementsEqual(GGUFFile.magic) else {
                throw .malformed(path: cursor.path, reason: "it does not begin with GGUF")
            }
            let version = try cursor.integer(UInt32.self, for: "the version")
            guard version == GGUFFile.version else {
                let isSwapped = version.byteSwapped == GGUFFile.version
                let value = isSwapped ? "3 in big-endian order" : "\(version)"
                let expected = "3 in little-endian order: convert the model again with a current llama.cpp"
                throw .unsupported(path: cursor.path, key: "GGUF.version", value: value, expected: expected)
            }
            // A tensor's entry has at least its name's length, one dimension, its type and its offset.
            let tensors = try cursor.count(ofAtLeast: 32, atMost: GGUFFile.mostTensors, for: "the number of tensors")
            let keys = try cursor.count(ofAtLeast: 13, for: "the number of keys")
            let metadata = try GGUFMetadata(&cursor, count: keys, content: content)
            let alignment = try Self.alignment(metadata, cursor.path)
            var names: [String] = []
            var found: [TextKey: (type: StoredType, shape: [Int], offset: UInt64, byteCount: Int)] = [:]
            for index in 0..<tensors {
                let place = try cursor.string(atMost: GGUFFile.longestName, for: "the name of tensor \(index)")
                let name = try cursor.text(place, of: "the name of tensor \(index)")
                let tensor = try Self.tensor(&cursor, name)
                guard found.updateValue(tensor, forKey: TextKey(name)) == nil else {
                    throw cursor.malformed("it has the tensor \(name) twice")
                }
                names.append(name)
            }
            // The place is at most the size of the file, so the sum fits.
            let start = (cursor.place + alignment - 1) / alignment * alignment
            var entries: [TextKey: Entry] = [:]
            var ranges: [(range: Range<Int>, name: String)] = []
            for name in names {
                guard let (type, shape, offset, byteCount) = found[TextKey(name)] else { continue }
                let room = content.count - start
                guard offset % UInt64(alignment) == 0, room >= 0, offset <= UInt64(room),
                    byteCount <= room - Int(offset)
                else {
                    throw cursor.malformed(
                        "tensor \(name) of \(byteCount) bytes lies at \(offset), expected a multiple of \(alignment) "
                            + "within the \(max(room, 0)) bytes that follow the header"
                    )
                }
                let range = start + Int(offset)..<start + Int(offset) + byteCount
                entries[TextKey(name)] = Entry(type: type, shape: shape, range: range)
                ranges.append((range, name))
            }
            try Self.checkDisjoint(ranges, cursor)
            parts = (metadata, names, entries)
        }

        private static func alignment(_ metadata: GGUFMetadata, _ path: String) throws(ModelFileError) -> Int {
            let key = "general.alignment"
            guard let alignment = try metadata.integer(key) else { return 32 }
            guard GGUFFile.alignments.contains(alignment), alignment & (alignment - 1) == 0 else {
                let (least, most) = (GGUFFile.alignments.lowerBound, GGUFFile.alignments.upperBound)
                let expected = "a power of two from \(least) to \(most)"
                throw .unsupported(path: path, key: key, value: "\(alignment)", expected: expected)
            }
            return alignment
        }

        private static func tensor(
            _ cursor: inout GGUFCursor,
            _ name: String
        ) throws(ModelFileError) -> (type: StoredType, shape: [Int], offset: UInt64, byteCount: Int) {
            let dimensions = try cursor.integer(UInt32.self, for: "the number of dimensions of \(name)")
            guard (1...4).contains(dimensions) else {
                throw cursor.malformed("tensor \(name) has \(dimensions) dimensions, expected 1 to 4")
            }
            var shape: [Int] = []
            var count = 1
            for _ in 0..<dimensions {
                let size = try cursor.integer(UInt64.self, for: "the shape of \(name)")
                let (product, overflow) = count.multipliedReportingOverflow(by: Int(clamping: size))
                guard size > 0, size <= UInt64(Int32.max), !overflow else {
                    throw cursor.malformed("tensor \(name) has a dimension of \(size), in a shape after \(shape)")
                }
                count = product
                shape.insert(Int(size), at: 0)
            }
            let number = try cursor.integer(UInt32.self, for: "the type of \(name)")
            guard let type = StoredType(number: number) else {
                throw .unsupportedType(
                    path: cursor.path,
                    tensor: name,
                    type: StoredType.shown(number: number),
                    expected: StoredType.allCases
                )
            }
            let columns = shape.last ?? 1
            let (byteCount, overflow) = (count / type.blockCount).multipliedReportingOverflow(by: type.blockByteCount)
            guard columns % type.blockCount == 0, !overflow else {
                throw cursor.malformed(
                    "tensor \(name) has the shape \(shape), whose rows are not whole blocks of "
                        + "\(type.blockCount) values of \(type.rawValue)"
                )
            }
            return (type, shape, try cursor.integer(UInt64.self, for: "the offset of \(name)"), byteCount)
        }

        /// Two tensors in the same bytes are a damaged offset.
        private static func checkDisjoint(
            _ ranges: [(range: Range<Int>, name: String)],
            _ cursor: GGUFCursor
        ) throws(ModelFileError) {
            let ordered = ranges.sorted { $0.range.lowerBound < $1.range.lowerBound }
            for (first, second) in zip(ordered, ordered.dropFirst())
            where first.range.upperBound > second.range.lowerBound {
                throw cursor.malformed("the tensors \(first.name) and \(second.name) overlap")
            }
        }
    }
}
