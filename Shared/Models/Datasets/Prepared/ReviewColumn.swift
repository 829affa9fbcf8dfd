/// What users wrote, one text an event, end to end; empty where there is none.
struct ReviewColumn: Sendable {
    private var bytes: [UInt8] = []
    /// Where each text ends.
    private var ends: [Int] = []

    /// An empty column.
    init() {}

    /// A column of texts with these lengths, whose sum is the number of bytes.
    init(lengths: [Int], bytes: [UInt8]) {
        self.bytes = bytes
        ends.reserveCapacity(lengths.count)
        for length in lengths { ends.append((ends.last ?? 0) + length) }
        precondition(ends.last ?? 0 == bytes.count, "\(bytes.count) bytes for texts of \(ends.last ?? 0)")
    }

    /// How many events there are.
    var count: Int { ends.count }

    /// How many of them have a text.
    var textCount: Int { ends.indices.count { !range($0).isEmpty } }

    /// The text of an event.
    subscript(index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }

    mutating func append(_ text: ArraySlice<UInt8>) {
        bytes.append(contentsOf: text)
        ends.append(bytes.count)
    }

    private func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

    /// Little-endian: event count, the bytes of each event's text, then the texts.
    ///
    /// Passes the bytes in pieces, each valid only during the call.
    func forEachPiece(_ body: ([UInt8]) throws -> Void) rethrows {
        var piece = BytePiece()
        piece.append(UInt32(count))
        for index in ends.indices {
            piece.append(UInt32(range(index).count))
            try piece.giveIfFull(body)
        }
        for index in ends.indices {
            piece.bytes.append(contentsOf: self[index])
            try piece.giveIfFull(body)
        }
        try body(piece.bytes)
    }
}

extension PreparationOptions {
    /// What is kept of the text that a user wrote: without white space at its ends, and so many bytes of it at most.
    ///
    /// - Parameters:
    ///   - text: what the reader found.
    ///   - counts: counts texts that are missing or cut.
    /// - Returns: at most `reviewByteCount` bytes of UTF-8, cut between characters' scalars; none where it is nil.
    /// - Throws: `DatasetError` without file and line, for text that is not UTF-8 or has a NUL.
    func review(_ text: [UInt8], _ counts: inout ReadingCounts) throws(DatasetError) -> ArraySlice<UInt8> {
        guard let reviewByteCount else { return [] }
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0D).contains($0) }
        guard let first = text.firstIndex(where: { !isBlank($0) }), let last = text.lastIndex(where: { !isBlank($0) })
        else {
            counts[.withoutReview] += 1
            return []
        }
        _ = try TextCheck.text(text, "text", of: "a review", limit: .max, onNUL: "remove it")
        let whole = text[first...last]
        guard whole.count > reviewByteCount else { return whole }
        counts[.reviewsCut] += 1
        var end = first + reviewByteCount
        while text[end] & 0xC0 == 0x80 { end -= 1 }
        return text[first..<end]
    }
}
