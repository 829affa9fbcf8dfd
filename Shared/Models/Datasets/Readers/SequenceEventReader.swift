internal import Messages

/// Reads lines of `user item item ...`, separated by spaces or tabs, as events in that order.
///
/// Such files have no times: each event gets a time one second after the previous one in the file, which keeps the
/// order. A user may have several lines, as in files with one `user item` pair per line.
struct SequenceEventReader: EventReader {
    private var lines: LineReader
    private let skipsBadLines: Bool
    private(set) var skippedLines = 0
    private(set) var firstSkipped: DatasetError?
    /// The rest of the current line, and its user.
    private var user: Range<Int>?
    private var rest = 0..<0
    /// Where the current line began.
    private var lineStart: ReadPosition
    private var eventsOfLine = 0
    private var events: Int
    /// How many events precede the position at which this reader started.
    private let eventsBefore: Int
    /// Events of the first line that were already returned earlier.
    private var given: Int

    init(_ path: String, from position: ReadPosition = .start, skipsBadLines: Bool = false) throws(DatasetError) {
        lines = try LineReader(path, from: position)
        self.skipsBadLines = skipsBadLines
        lineStart = lines.position
        given = position.eventsOfLine
        events = position.events - given
        eventsBefore = position.events
        lineStart.eventsOfLine = 0
    }

    var bytesRead: Int { lines.bytesRead }

    var counts: ReadingCounts {
        var counts = ReadingCounts()
        counts[.badLines] = skippedLines
        counts[.timesFromOrder] = max(0, events - eventsBefore)
        return counts
    }

    var position: ReadPosition {
        let isInLine = user != nil
        let place = isInLine ? lineStart : lines.position
        return ReadPosition(
            line: place.line,
            byteOffset: place.byteOffset,
            eventsOfLine: isInLine ? eventsOfLine : 0,
            events: events
        )
    }

    mutating func next(_ row: inout EventRow) throws(DatasetError) -> Bool {
        while true {
            if let user, let item = takeWord() {
                eventsOfLine += 1
                events += 1
                if isAtLineEnd { self.user = nil }
                if given > 0 {
                    given -= 1
                    continue
                }
                row.clear()
                row.user.append(contentsOf: lines.bytes[user])
                row.item.append(contentsOf: lines.bytes[item])
                row.time = TimeReader.invented(Int64(events))
                return true
            }
            guard try beginLine() else { return false }
        }
    }

    mutating func next() throws(DatasetError) -> Event? {
        var row = EventRow()
        while try next(&row) {
            do throws(DatasetError) {
                return try Event(row, type: "view")
            } catch {
                try skip(error)
            }
        }
        return nil
    }

    /// Advances to the next line that has events; false at the end.
    private mutating func beginLine() throws(DatasetError) -> Bool {
        while true {
            lineStart = lines.position
            guard let line = try lines.next() else { return false }
            rest = line
            eventsOfLine = 0
            guard let user = takeWord() else { continue }
            if !isAtLineEnd {
                self.user = user
                return true
            }
            let text = String(decoding: lines.bytes[user], as: UTF8.self)
            try skip(DatasetError(value: text, reason: "has no item: expected a user and its items in each line"))
        }
    }

    private mutating func takeWord() -> Range<Int>? {
        var start = rest.lowerBound
        while start < rest.upperBound, isSpace(start) { start += 1 }
        var end = start
        while end < rest.upperBound, !isSpace(end) { end += 1 }
        let word = start..<end
        while end < rest.upperBound, isSpace(end) { end += 1 }
        rest = end..<rest.upperBound
        return word.isEmpty ? nil : word
    }

    private var isAtLineEnd: Bool { rest.isEmpty }

    private func isSpace(_ index: Int) -> Bool {
        lines.bytes[index] == UInt8(ascii: " ") || lines.bytes[index] == UInt8(ascii: "\t")
    }

    private mutating func skip(_ error: DatasetError) throws(DatasetError) {
        var error = error
        error.file = lines.path
        error.line = lines.position.line
        guard skipsBadLines else { throw error }
        skippedLines += 1
        if firstSkipped == nil { firstSkipped = error }
    }
}
