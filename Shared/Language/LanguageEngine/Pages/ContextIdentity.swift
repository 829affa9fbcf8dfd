import Bytes

/// What keys and values depend on besides the text's tokens: equal identities mean equal numbers.
struct ContextIdentity: Hashable, Sendable {
    /// Nothing acts on the text but its tokens.
    static let none = ContextIdentity(digest: [])

    private let digest: [UInt8]

    private init(digest: [UInt8]) { self.digest = digest }

    /// The identity of a context's numbers, by their SHA-256 hash: contexts come from outside, and whoever could make
    /// two of them meet would read another user's keys and values.
    init(of rows: [Float], as kind: Kind) {
        var hash = SHA256()
        hash.update([kind.rawValue])
        rows.withUnsafeBytes { hash.update($0) }
        digest = hash.digest()
    }

    /// The identity of two contexts that act together.
    func joined(with other: ContextIdentity) -> ContextIdentity { ContextIdentity(digest: digest + other.digest) }

    /// How the rows act.
    enum Kind: UInt8 {
        case crossAttention = 1
        case softPrompt = 2
    }
}

/// From which position of a text on its keys and values depend on a context.
struct ContextReach: Hashable, Sendable {
    /// No context.
    static let none = ContextReach(identity: .none, start: .max)

    let identity: ContextIdentity
    /// The first position on which the context acts.
    let start: Int

    /// What a page depends on that ends before position `end`.
    func identity(before end: Int) -> ContextIdentity { start < end ? identity : .none }
}
