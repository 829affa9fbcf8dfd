import CKernels
public import Foundation

/// A tensor and the name it has in files.
public struct NamedTensor: Sendable {
    /// The name, unique within a file.
    public let name: String
    /// The tensor itself; loading writes into it.
    public let tensor: Tensor

    /// Names a tensor.
    public init(_ name: String, _ tensor: Tensor) {
        self.name = name
        self.tensor = tensor
    }
}

/// A file of named tensors in Hugging Face's safetensors format, opened for reading.
///
/// The file is: the header's length as 8 bytes, little-endian; the header, a JSON object with type, shape and offset of
/// each tensor; the tensors' bytes without gaps. F32, F16 and BF16 are read, all as Float32.
///
/// - Source: huggingface/safetensors, README, "Format".
public struct SafeTensors: Sendable {
    /// Where a tensor is stored, and its type and shape.
    struct Entry: Sendable {
        let type: String
        let shape: [Int]
        let range: Range<Int>
    }

    /// The path it was opened with.
    public let path: String
    /// The metadata stored with the tensors.
    public let metadata: [String: String]
    private let entries: [[UInt8]: Entry]
    private let content: Data

    /// Opens a file and validates its header: every type, shape and offset, and that the file is complete.
    ///
    /// - Throws: `SafeTensorsError.unreadable` or `.malformed`.
    public init(path: String) throws(SafeTensorsError) {
        self.path = path
        do {
            content = try FileBytes.mapped(path)
        } catch {
            throw .unreadable(path: path, reason: error.reason)
        }
        let header = try SafeTensorsHeader(content, path: path)
        entries = header.entries
        metadata = header.metadata
    }

    /// The names of all tensors, sorted.
    public var names: [String] { entries.keys.map { String(decoding: $0, as: UTF8.self) }.sorted() }

    /// The shape of a tensor; nil when there is none of that name.
    public func shape(of name: String) -> [Int]? { entries[Array(name.utf8)]?.shape }

    /// A tensor as it is stored: the name of its type, such as `BF16`, its shape and its bytes, memory-mapped and not
    /// necessarily aligned; nil when there is none of that name.
    public func stored(_ name: String) -> (type: String, shape: [Int], bytes: Data)? {
        entries[Array(name.utf8)].map { entry in
            let start = content.startIndex
            return (entry.type, entry.shape, content[start + entry.range.lowerBound..<start + entry.range.upperBound])
        }
    }

    /// Reads a tensor.
    ///
    /// - Throws: `SafeTensorsError.missing` or `.unsupportedType`.
    public func tensor(_ name: String) throws(SafeTensorsError) -> Tensor {
        let entry = try self.entry(name)
        let tensor = Tensor(uninitialized: entry.shape, pool: nil)
        try read(entry, name, into: tensor)
        return tensor
    }

    /// Reads a tensor and checks that all its values are finite, as a model needs.
    ///
    /// - Throws: `SafeTensorsError.missing`, `.unsupportedType` or `.notFinite`.
    public func weight(_ name: String) throws(SafeTensorsError) -> Tensor {
        let tensor = try self.tensor(name)
        try checkIsFinite(tensor, name)
        return tensor
    }

    /// Checks the header against the tensors that a model expects, without reading a value.
    ///
    /// - Parameters:
    ///   - expected: each tensor's name and shape.
    ///   - allowOthers: whether the file may hold further tensors.
    /// - Throws: `SafeTensorsError` naming the first tensor that is missing or has another shape or an unsupported
    ///   type, or the unexpected tensors.
    public func check(
        _ expected: [(name: String, shape: [Int])],
        allowOthers: Bool = false
    ) throws(SafeTensorsError) {
        for (name, shape) in expected {
            let entry = try self.entry(name)
            guard entry.shape == shape else {
                throw .shape(path: path, name: name, found: entry.shape, expected: shape)
            }
            guard SafeTensorsHeader.readableTypes.contains(entry.type) else {
                throw .unsupportedType(path: path, name: name, type: entry.type)
            }
        }
        guard !allowOthers else { return }
        let others = Set(entries.keys).subtracting(expected.map { Array($0.name.utf8) })
        guard others.isEmpty else {
            throw .unexpected(path: path, names: others.map { String(decoding: $0, as: UTF8.self) }.sorted())
        }
    }

    /// Loads the given tensors after checking all names, shapes and types: on a mismatch none is changed.
    ///
    /// - Parameters:
    ///   - tensors: the tensors to fill.
    ///   - allowOthers: whether the file may hold further tensors.
    /// - Throws: `SafeTensorsError` naming the first tensor that differs; or `.notFinite`, in which case the tensors
    ///   before it have already been read.
    public func load(into tensors: [NamedTensor], allowOthers: Bool = false) throws(SafeTensorsError) {
        try check(tensors.map { ($0.name, $0.tensor.shape) }, allowOthers: allowOthers)
        for named in tensors {
            try read(entry(named.name), named.name, into: named.tensor)
            try checkIsFinite(named.tensor, named.name)
        }
    }

    private func checkIsFinite(_ tensor: Tensor, _ name: String) throws(SafeTensorsError) {
        guard let index = tensor.firstNotFinite else { return }
        throw .notFinite(path: path, name: name, index: index, value: tensor[index])
    }

    private func entry(_ name: String) throws(SafeTensorsError) -> Entry {
        guard let entry = entries[Array(name.utf8)] else { throw .missing(path: path, name: name) }
        return entry
    }

    private func read(_ entry: Entry, _ name: String, into tensor: Tensor) throws(SafeTensorsError) {
        guard SafeTensorsHeader.readableTypes.contains(entry.type) else {
            throw .unsupportedType(path: path, name: name, type: entry.type)
        }
        content.withUnsafeBytes { bytes in
            guard tensor.count > 0, let start = bytes.baseAddress?.advanced(by: entry.range.lowerBound) else { return }
            // The format does not guarantee alignment, not even to the size of a value, so copy the bytes.
            if entry.type == "F32" {
                memcpy(tensor.base, start, entry.range.count)
                return
            }
            withUnsafeTemporaryAllocation(of: UInt16.self, capacity: tensor.count) { halves in
                guard let base = halves.baseAddress else { return }
                memcpy(base, start, entry.range.count)
                if entry.type == "BF16" {
                    ul_from_bfloat16(tensor.base, base, Int64(tensor.count))
                } else {
                    ul_from_float16(tensor.base, base, Int64(tensor.count))
                }
            }
        }
    }

    static func reason(_ error: any Error) -> String {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        return underlying?.localizedDescription ?? error.localizedDescription
    }
}
