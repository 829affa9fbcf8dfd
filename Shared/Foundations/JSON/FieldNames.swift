/// The fields that a kind of object may have, and the names that producers give them.
public struct FieldNames: Sendable {
    private struct Name {
        /// The first 8 bytes, so that one comparison distinguishes most names.
        let head: UInt64
        let bytes: [UInt8]
        let field: Int
    }

    /// What the object is, as in `an event`.
    let object: String
    private let names: [Name]
    /// The first bytes of each name as a number: enough for most comparisons, and compact in memory.
    private let heads: [UInt64]
    private let counts: [Int]
    /// The name of each field, without aliases.
    private let fields: [String]
    /// For each field the bits of its names.
    private let bits: [UInt64]

    /// Makes the table.
    ///
    /// - Parameters:
    ///   - object: what the object is, as in `an event`.
    ///   - fields: for each field, which is numbered from 0, its name and then its aliases; at most 64 names in all.
    public init(of object: String, _ fields: [[String]]) {
        self.object = object
        names = fields.enumerated().flatMap { field, names in
            names.map { Name(head: Self.head(Array($0.utf8), 0..<$0.utf8.count), bytes: Array($0.utf8), field: field) }
        }
        heads = names.map(\.head)
        counts = names.map(\.bytes.count)
        self.fields = fields.map { $0.first ?? "" }
        var bits = fields.map { _ in 0 as UInt64 }
        for (number, name) in names.enumerated() { bits[name.field] |= 1 << UInt64(number) }
        self.bits = bits
        precondition(names.count <= 64, "\(names.count) names of fields are more than 64")
    }

    /// The fields' names, without aliases, for an error.
    public var list: String { fields.joined(separator: ", ") }

    /// The number of a name; nil when there is none.
    func number(_ bytes: [UInt8], _ range: Range<Int>) -> Int? {
        let head = Self.head(bytes, range)
        for index in heads.indices where heads[index] == head && counts[index] == range.count {
            if range.count <= 8 || bytes[range].elementsEqual(names[index].bytes) { return index }
        }
        return nil
    }

    /// The field that a name belongs to.
    func field(_ number: Int) -> Int { names[number].field }
    /// A name as text.
    func text(_ number: Int) -> String { String(decoding: names[number].bytes, as: UTF8.self) }
    /// Whether any name of a field is in a set of bits.
    func isSeen(_ field: Int, in seen: UInt64) -> Bool { seen & bits[field] != 0 }
    /// Which of a field's names is in a set of bits.
    func name(of field: Int, in seen: UInt64) -> String {
        names.indices.first { seen & 1 << UInt64($0) != 0 && names[$0].field == field }.map(text) ?? fields[field]
    }

    private static func head(_ bytes: [UInt8], _ range: Range<Int>) -> UInt64 {
        var head: UInt64 = 0
        for index in range.lowerBound..<min(range.upperBound, range.lowerBound + 8) {
            head = head << 8 | UInt64(bytes[index])
        }
        return head
    }
}

/// How unknown fields of an object are handled, and which were found.
public struct UnknownFields: Sendable {
    /// How they are handled.
    public enum Policy: Sendable {
        /// They are skipped: a newer producer's fields must not stop an older reader.
        case ignored
        /// They are skipped, and their names kept.
        case listed
        /// They are an error.
        case refused
    }

    /// The most names that are kept.
    public static let maximumCount = 20
    /// The most bytes of a name that are kept.
    static let maximumByteCount = 64

    private let policy: Policy
    private var found: [[UInt8]] = []
    /// Whether there were more than are kept.
    public private(set) var hasMore = false

    /// Starts without any.
    public init(_ policy: Policy) {
        self.policy = policy
    }

    /// The names of the fields that were skipped, each once.
    public var names: [String] { found.map { String(decoding: $0, as: UTF8.self) } }

    mutating func add(_ name: some Collection<UInt8>, _ fields: FieldNames, at byte: Int) throws(JSONError) {
        switch policy {
        case .ignored: return
        case .refused:
            throw JSONError(
                field: String(decoding: name.prefix(Self.maximumByteCount), as: UTF8.self),
                reason: "is not a field of \(fields.object): there are \(fields.list)",
                byte: byte
            )
        case .listed:
            let kept = name.prefix(Self.maximumByteCount)
            guard !found.contains(where: { $0.elementsEqual(kept) }) else { return }
            if found.count < Self.maximumCount { found.append(Array(kept)) } else { hasMore = true }
        }
    }
}
