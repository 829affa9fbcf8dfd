/// Splits text into the pieces within which tokens are merged: the steps of a `pre_tokenizer`, of which the last one is
/// `ByteLevel`.
///
/// - Source: Hugging Face's `tokenizers`, whose pieces these are.
struct PreTokenizer: Sendable {
    /// What becomes of a split's matches.
    enum Behaviour: String, Sendable, CaseIterable {
        case removed = "Removed"
        case isolated = "Isolated"
        case mergedWithPrevious = "MergedWithPrevious"
        case mergedWithNext = "MergedWithNext"
        case contiguous = "Contiguous"
    }

    /// What a split looks for.
    enum Delimiter: Sendable {
        case pattern(PiecePattern)
        case text(String)
    }

    /// A step before the last one.
    enum Step: Sendable {
        /// Splits numerals off (`Digits`): each alone, or runs of them.
        case digits(individually: Bool)
        /// Splits at matches; `isInverted`: between them.
        case split(Delimiter, Behaviour, isInverted: Bool)
    }

    /// A part of a text, and whether it is a match.
    private typealias Part = (range: Range<Int>, isMatch: Bool)

    let steps: [Step]
    /// Whether a space is put before each piece that has none in front, after all steps.
    let addsPrefixSpace: Bool
    /// GPT-2's pattern where `ByteLevel` applies it.
    let pattern: PiecePattern?

    init(steps: [Step] = [], addsPrefixSpace: Bool = false, usesPattern: Bool = true) throws(TokenizerError) {
        self.steps = steps
        self.addsPrefixSpace = addsPrefixSpace
        pattern = usesPattern ? try PiecePattern(PiecePattern.gpt2) : nil
    }

    /// Calls `body` with every piece of valid UTF-8, in order; none is empty.
    func forEachPiece(of text: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        guard !text.isEmpty else { return }
        let scratch = PiecePattern.Scratch()
        var ranges = [0..<text.count]
        let seen = UnicodeAge.replaced(text) ?? text
        seen.withUnsafeBufferPointer { seen in
            for step in steps {
                ranges = ranges.flatMap { range in
                    Self.apply(step, to: UnsafeBufferPointer(rebasing: seen[range]), text, range.lowerBound, scratch)
                }
            }
        }
        text.withUnsafeBufferPointer { text in
            seen.withUnsafeBufferPointer { seen in
                for range in ranges {
                    let piece = UnsafeBufferPointer(rebasing: text[range])
                    let seen = UnsafeBufferPointer(rebasing: seen[range])
                    guard addsPrefixSpace, piece.first != UInt8(ascii: " ") else {
                        emit(piece, seen, scratch, body)
                        continue
                    }
                    ([UInt8(ascii: " ")] + piece).withUnsafeBufferPointer { piece in
                        ([UInt8(ascii: " ")] + seen).withUnsafeBufferPointer { emit(piece, $0, scratch, body) }
                    }
                }
            }
        }
    }

    /// The last step: GPT-2's pattern, if it applies.
    private func emit(
        _ piece: UnsafeBufferPointer<UInt8>,
        _ seen: UnsafeBufferPointer<UInt8>,
        _ scratch: PiecePattern.Scratch,
        _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) {
        guard let pattern else { return body(piece) }
        var place = 0
        for match in pattern.matches(in: seen, scratch) {
            if place < match.lowerBound { body(UnsafeBufferPointer(rebasing: piece[place..<match.lowerBound])) }
            if !match.isEmpty { body(UnsafeBufferPointer(rebasing: piece[match])) }
            place = match.upperBound
        }
        if place < piece.count { body(UnsafeBufferPointer(rebasing: piece[place...])) }
    }

    /// The pieces of a piece that starts at `start` of the text.
    private static func apply(
        _ step: Step,
        to piece: UnsafeBufferPointer<UInt8>,
        _ text: [UInt8],
        _ start: Int,
        _ scratch: PiecePattern.Scratch
    ) -> [Range<Int>] {
        let ranges: [Range<Int>]
        switch step {
        case .digits(let individually):
            let matches = numerals(text[start..<(start + piece.count)])
            ranges = split(parts(matches, piece.count), individually ? .isolated : .contiguous)
        case .split(let delimiter, let behaviour, let isInverted):
            let matches =
                switch delimiter {
                case .pattern(let pattern): pattern.matches(in: piece, scratch)
                case .text(let wanted): occurrences(of: Array(wanted.utf8), in: piece)
                }
            var parts = parts(matches, piece.count)
            if isInverted { for index in parts.indices { parts[index].isMatch.toggle() } }
            ranges = split(parts, behaviour)
        }
        return ranges.filter { !$0.isEmpty }.map { ($0.lowerBound + start)..<($0.upperBound + start) }
    }

    /// Matches, and what is between them.
    private static func parts(_ matches: [Range<Int>], _ count: Int) -> [Part] {
        var parts: [Part] = []
        parts.reserveCapacity(2 * matches.count + 1)
        var place = 0
        for match in matches {
            if place < match.lowerBound { parts.append((place..<match.lowerBound, false)) }
            parts.append((match, true))
            place = match.upperBound
        }
        if place < count { parts.append((place..<count, false)) }
        return parts
    }

    private static func split(_ parts: [Part], _ behaviour: Behaviour) -> [Range<Int>] {
        switch behaviour {
        case .isolated: return parts.map(\.range)
        case .removed: return parts.filter { !$0.isMatch }.map(\.range)
        case .contiguous, .mergedWithPrevious:
            var ranges: [Range<Int>] = []
            var wasMatch = false
            for part in parts {
                let isJoined = behaviour == .contiguous ? part.isMatch == wasMatch : part.isMatch && !wasMatch
                if isJoined, let last = ranges.popLast() {
                    ranges.append(last.lowerBound..<part.range.upperBound)
                } else {
                    ranges.append(part.range)
                }
                wasMatch = part.isMatch
            }
            return ranges
        case .mergedWithNext:
            var ranges: [Range<Int>] = []
            var wasMatch = false
            for part in parts.reversed() {
                if part.isMatch, !wasMatch, let last = ranges.popLast() {
                    ranges.append(part.range.lowerBound..<last.upperBound)
                } else {
                    ranges.append(part.range)
                }
                wasMatch = part.isMatch
            }
            return ranges.reversed()
        }
    }

    /// Characters of the general category N, each a match, with offsets from the slice's start.
    private static func numerals(_ text: ArraySlice<UInt8>) -> [Range<Int>] {
        var matches: [Range<Int>] = []
        var place = text.startIndex
        while place < text.endIndex {
            let lead = text[place]
            let width = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
            let end = min(place + width, text.endIndex)
            if lead < 0x80 ? (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(lead) : isNumeral(text[place..<end]) {
                matches.append((place - text.startIndex)..<(end - text.startIndex))
            }
            place = end
        }
        return matches
    }

    private static func isNumeral(_ bytes: ArraySlice<UInt8>) -> Bool {
        var (iterator, decoder) = (bytes.makeIterator(), UTF8())
        guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return false }
        return switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: true
        default: false
        }
    }

    /// Where a text occurs, from the left and without overlap.
    private static func occurrences(of wanted: [UInt8], in text: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
        guard let first = wanted.first else { return [] }
        var matches: [Range<Int>] = []
        var place = 0
        while place + wanted.count <= text.count {
            if text[place] == first, text[place..<(place + wanted.count)].elementsEqual(wanted) {
                matches.append(place..<(place + wanted.count))
                place += wanted.count
            } else {
                place += 1
            }
        }
        return matches
    }
}
