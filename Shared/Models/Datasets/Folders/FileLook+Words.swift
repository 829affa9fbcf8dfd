internal import Messages

extension FileLook {
    /// Classifies lines of words: sequences, a table with an unexpected name, or prose.
    init(words lines: [Line], _ wanted: DatasetFormat?) {
        let lines = lines.map { TextLine($0) }
        self.init(FileKind.unknown)
        if wanted != .sequences {
            let columns = Self.columns(lines)
            if columns == nil, lines[0].words.count < 2 || Self.isProse(lines) { return }
            if let reason = columns.map(Self.reason(columns:)) ?? Self.mark(within: lines).map(Self.reason(mark:)) {
                problem = DatasetError(line: lines[0].number, value: lines[0].start, reason: reason)
                return
            }
        }
        kind = .sequences
        let words = lines.flatMap(\.words)
        // Ids nearly always contain digits; words without any may be prose after all.
        isDoubtful = words.count { $0.contains(where: \.isDigit) } * 10 < words.count * 9
    }

    private static func reason(columns: String) -> String {
        "looks like a table (\(columns)), and not like sequences of \"user item item ...\"; name its columns in a first "
            + "line, such as user, item, rating, timestamp, and give --format csv, or give --format sequences"
    }

    private static func reason(mark: String) -> String {
        "has \(mark) between or around ids, which would be read as part of them; a file of sequences is "
            + "\"user item item ...\" with blanks alone: remove them, or give --format sequences"
    }

    /// What a table's columns look like; nil when the lines are not a table.
    private static func columns(_ lines: [TextLine]) -> String? {
        for (delimiter, name) in [(",", "commas"), (";", "semicolons"), ("|", "bars"), ("::", "double colons")] {
            let counts = lines.map { $0.count(of: Array(delimiter.utf8)) }
            if counts[0] >= 2, counts.allSatisfy({ $0 == counts[0] }), lines.allSatisfy({ $0.hasFirst(delimiter) }) {
                return "\(counts[0] + 1) columns separated by \(name)"
            }
        }
        let count = lines[0].words.count
        guard (3...8).contains(count), lines.allSatisfy({ $0.words.count == count }) else { return nil }
        func all(_ column: Int, _ test: (ArraySlice<UInt8>) -> Bool) -> Bool {
            lines.allSatisfy { test($0.words[column]) }
        }
        if let date = (1..<count).first(where: { all($0) { TimeReader.date($0) != nil } }) {
            return "\(count) columns, of which the \(ordinal(date)) is a date"
        }
        if let fraction = (1..<count).first(where: { all($0, isFraction) }) {
            return "\(count) columns, of which the \(ordinal(fraction)) is a number with a point"
        }
        // Book ids look like times too, but not on all lines of a file, and not only in one column.
        if lines.count > 1 || all(2, isRating), !all(1, isTime),
            let time = (2..<count).first(where: { all($0, isTime) })
        {
            return "\(count) columns, of which the \(ordinal(time)) is a time"
        }
        // It is rare that all users have two items, while play counts are common.
        if count == 3, lines.count >= 5, all(2, isNumber) {
            return "3 columns, of which the third may be a rating or a count"
        }
        guard count <= 4, all(2, isRating), count == 3 || all(3, isNumber) else { return nil }
        return lines.count > 1 ? "\(count) columns, of which the third is a rating" : nil
    }

    /// The text that occurs between or around the ids in at least half of the lines, as other programs write lists.
    private static func mark(within lines: [TextLine]) -> String? {
        let marks: [(byte: UInt8, name: String)] = [
            (UInt8(ascii: ","), "commas"), (UInt8(ascii: ";"), "semicolons"), (UInt8(ascii: "["), "brackets"),
            (UInt8(ascii: "|"), "bars"),
        ]
        return marks.first { mark in
            lines.count { line in line.words.contains { $0.contains(mark.byte) } } * 2 >= lines.count
        }?.name
    }

    private static func ordinal(_ column: Int) -> String {
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"][column]
    }

    private static func number(_ word: ArraySlice<UInt8>) -> Double? {
        guard word.count <= 20, word.contains(where: \.isDigit) else { return nil }
        return Double(String(decoding: word, as: UTF8.self))
    }

    private static func isFraction(_ word: ArraySlice<UInt8>) -> Bool {
        word.contains(UInt8(ascii: ".")) && isNumber(word)
    }
    private static func isNumber(_ word: ArraySlice<UInt8>) -> Bool { number(word) != nil }
    private static func isRating(_ word: ArraySlice<UInt8>) -> Bool {
        number(word).map { (0...10).contains($0) } ?? false
    }

    /// Whether a word is a number since 1970 or a date.
    private static func isTime(_ word: ArraySlice<UInt8>) -> Bool {
        if let value = number(word) {
            return Int64(exactly: value.rounded(.down)).flatMap { TimeUnit(ofNumber: $0) } != nil
        }
        return TimeReader.date(word) != nil
    }

    /// Whether the lines are prose: punctuation at the end of words, brackets, or words that only occur in sentences.
    private static func isProse(_ lines: [TextLine]) -> Bool {
        var common: [Bool] = Array(repeating: false, count: commonWords.count)
        for word in lines.lazy.flatMap(\.words) {
            if word.contains(where: { "{}()<>=\"".utf8.contains($0) }) { return true }
            guard let last = word.last else { continue }
            let letters = ".,:;!?".utf8.contains(last) ? word.dropLast() : word
            let isWord = letters.count > 1 && letters.allSatisfy(\.isLetter)
            if isWord, letters.count < word.count { return true }
            let small = letters.map { $0 | 0x20 }
            if isWord, let number = commonWords.firstIndex(where: { small.elementsEqual($0.utf8) }) {
                common[number] = true
            }
        }
        return common.count { $0 } >= 2
    }

    private static let commonWords = [
        "the", "and", "of", "to", "in", "is", "are", "for", "with", "on", "by", "this", "that", "these", "not", "from",
        "as",
        "be", "or", "was", "it", "may", "all", "data", "file", "license", "copyright",
    ]
}

/// One of the first lines, split into words.
private struct TextLine {
    let number: Int
    let start: String
    let words: [ArraySlice<UInt8>]
    private let bytes: ArraySlice<UInt8>

    init(_ line: FileLook.Line) {
        (number, start) = (line.number, line.start)
        // A prefix of a long line is enough to tell what it is.
        bytes = line.bytes.prefix(1 << 14)
        words = bytes.split(maxSplits: 1_000) { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    }

    func count(of delimiter: [UInt8]) -> Int {
        var (count, index) = (0, bytes.startIndex)
        while index + delimiter.count <= bytes.endIndex {
            if bytes[index..<(index + delimiter.count)].elementsEqual(delimiter) {
                count += 1
                index += delimiter.count
            } else {
                index += 1
            }
        }
        return count
    }

    /// Whether the first word continues after a delimiter, which does not happen in prose.
    func hasFirst(_ delimiter: String) -> Bool {
        guard let word = words.first else { return false }
        return word.count > delimiter.utf8.count
            && word.indices.dropLast(delimiter.utf8.count).contains {
                word[$0...].starts(with: delimiter.utf8)
            }
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { self &- UInt8(ascii: "0") <= 9 }
    /// Whether it is an ASCII letter or part of a non-ASCII character.
    fileprivate var isLetter: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) || self >= 0x80 }
}
