/// The tokens of pieces seen lately: most pieces of a text are words that came before.
///
/// Each piece has one place; a later piece with the same place takes it, so the size is fixed and no text can fill it
/// for good.
struct PieceCache {
    private struct Entry {
        var piece: [UInt8]
        var tokens: [Int32]
    }

    /// Longer pieces are not kept.
    static let longestPiece = 64
    private static let count = 8_192

    private var entries = [Entry?](repeating: nil, count: Self.count)

    /// Appends a piece's tokens; false when they are not known.
    func append(_ piece: UnsafeBufferPointer<UInt8>, _ hash: UInt64, to ids: inout [Int32]) -> Bool {
        guard let entry = entries[Self.place(hash)], entry.piece.elementsEqual(piece) else { return false }
        ids += entry.tokens
        return true
    }

    mutating func insert(_ piece: UnsafeBufferPointer<UInt8>, _ hash: UInt64, _ tokens: [Int32]) {
        entries[Self.place(hash)] = Entry(piece: Array(piece), tokens: tokens)
    }

    private static func place(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (count - 1) }
}
