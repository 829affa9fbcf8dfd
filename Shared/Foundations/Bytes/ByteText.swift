/// Text that is equal only if its bytes are: every id, and everything else that serves as a key, is compared this way.
///
/// Swift compares `String` by canonical equivalence, so "é" of one code point equals "é" of two. Kafka and PostgreSQL
/// compare bytes, and so must everything between them: a map with `String` keys makes one user of two, and one of their
/// rows is lost.
public protocol ByteText: Hashable, Comparable, Sendable, Codable, CustomStringConvertible,
    ExpressibleByStringInterpolation
{
    /// The text, unchanged byte for byte.
    var text: String { get }

    /// Takes text as it is.
    init(_ text: String)
}

extension ByteText {
    /// The text's bytes.
    @inlinable public var utf8: String.UTF8View { text.utf8 }

    /// The text.
    @inlinable public var description: String { text }

    /// Takes a literal as it is.
    @inlinable
    public init(stringLiteral text: String) { self.init(text) }

    /// Reads a text, as a string of its own.
    public init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(String.self))
    }

    /// Writes the text, as a string of its own.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    /// Whether both have the same bytes.
    @inlinable
    public static func == (a: Self, b: Self) -> Bool {
        let (a, b) = (a.text.utf8Span.span, b.text.utf8Span.span)
        guard a.count == b.count else { return false }
        for index in a.indices where a[index] != b[index] { return false }
        return true
    }

    /// In the order of their bytes, as unsigned numbers: the order of code points, and of PostgreSQL's "C" collation.
    @inlinable
    public static func < (a: Self, b: Self) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }

    /// Hashes the bytes.
    @inlinable
    public func hash(into hasher: inout Hasher) {
        // The end is hashed too, so that two texts in a row do not collide with two that are split elsewhere.
        text.utf8Span.span.withUnsafeBytes { hasher.combine(bytes: $0) }
        hasher.combine(0xFF as UInt8)
    }
}
