internal import Files

/// Reads a file line by line in bounded memory, including files compressed with gzip.
///
/// A line ends with `\n` or `\r\n`; the last one may end with the file. A byte order mark at the start of the file is
/// skipped; contents that are evidently not single-byte text are rejected with a description.
struct LineReader {
    /// The position after the last line that was returned.
    private(set) var position: ReadPosition
    /// The buffer that `next` returns ranges of; valid until the next call.
    private(set) var bytes: [UInt8]
    /// The line at which the last record began, counted from 1.
    private(set) var recordLine = 0
    /// How many records span more than one line.
    private(set) var longRecords = 0

    private let file: InputFile
    private let maximumLength: Int
    private var start = 0
    private var end = 0
    private var isAtEnd = false
    /// Where the current record began; everything from there on is kept.
    private var recordStart: Int?
    /// A longer record means an unclosed quote; do not read a file of millions of lines for it.
    private static let maximumRecordLength = 1 << 20

    init(_ path: String, from position: ReadPosition = .start, maximumLength: Int = 1 << 24) throws(DatasetError) {
        do throws(InputFileError) {
            file = try InputFile(path)
            try file.skip(toByte: position.byteOffset)
        } catch {
            throw DatasetError(file: error.path, reason: error.reason)
        }
        self.position = position
        self.maximumLength = maximumLength
        bytes = [UInt8](repeating: 0, count: 1 << 18)
    }

    /// The file's path.
    var path: String { file.path }
    /// How many bytes of the file on disk have been read.
    var bytesRead: Int { file.bytesRead }

    /// Whether a line is empty or holds only blanks.
    func isBlank(_ line: Range<Int>) -> Bool {
        line.isEmpty || (bytes[line.lowerBound] == 0x20 && bytes[line].allSatisfy { $0 == 0x20 })
    }

    /// The first byte that is neither white space nor part of a byte order mark, if it is among the next bytes.
    mutating func firstByte() throws(DatasetError) -> UInt8? {
        if start == end, !isAtEnd { try fill() }
        return bytes[start..<end].first { $0 > 0x20 && $0 != 0xEF && $0 != 0xBB && $0 != 0xBF }
    }

    /// The range of the next line in `bytes`, without its line ending; nil at the end of the file.
    mutating func next() throws(DatasetError) -> Range<Int>? {
        var searched = start
        while true {
            if let lineEnd = bytes.firstIndex(of: UInt8(ascii: "\n"), in: searched..<end) {
                return take(upTo: lineEnd, skipping: 1)
            }
            guard !isAtEnd else { return start < end ? take(upTo: end, skipping: 0) : nil }
            guard end - start <= maximumLength else {
                throw DatasetError(
                    file: path,
                    line: position.line + 1,
                    reason: "is longer than \(maximumLength) bytes; is this a file of lines?"
                )
            }
            // Keep the search offset relative to the start, because `fill` moves it.
            let length = end - start
            try fill()
            searched = start + length
        }
    }

    /// The range of the next record of a table: a line, or several if a line break is inside quotes.
    ///
    /// For an unclosed quote, only the first line is returned: the field parser reports it, and the lines after it are
    /// read on their own.
    ///
    /// - Parameter delimiter: the delimiter between fields.
    /// - Returns: its range in `bytes`; nil at the end.
    /// - Throws: `DatasetError` for a file that cannot be read, and for a line that is too long.
    /// - Source: RFC 4180.
    mutating func nextRecord(delimiter: UInt8) throws(DatasetError) -> Range<Int>? {
        guard let first = try next() else { return nil }
        recordLine = position.line
        var quotes = QuoteScanner(delimiter: delimiter)
        guard bytes.firstIndex(of: QuoteScanner.quote, in: first) != nil, quotes.isOpen(after: first, of: bytes)
        else { return first }
        let (firstEnd, firstLength) = (position, first.count)
        let firstStart = start - first.lowerBound
        recordStart = first.lowerBound
        defer { recordStart = nil }
        while let line = try next() {
            guard let recordStart, line.upperBound - recordStart <= Self.maximumRecordLength else { break }
            if !quotes.isOpen(after: line, of: bytes) {
                longRecords += 1
                return recordStart..<line.upperBound
            }
        }
        // Go back to the end of the first line.
        guard let recordStart else { return nil }
        position = firstEnd
        start = recordStart + firstStart
        return recordStart..<(recordStart + firstLength)
    }

    /// Moves the unfinished record to the front of the buffer and reads more after it.
    private mutating func fill() throws(DatasetError) {
        let kept = recordStart ?? start
        if kept > 0 {
            for index in kept..<end { bytes[index - kept] = bytes[index] }
            (start, end) = (start - kept, end - kept)
            if recordStart != nil { recordStart = 0 }
        }
        if end == bytes.count { bytes.append(contentsOf: [UInt8](repeating: 0, count: bytes.count)) }
        let isFirst = position.byteOffset == 0 && end == 0
        do throws(InputFileError) {
            let count = try file.read(into: &bytes, from: end)
            if count == 0 { isAtEnd = true }
            end += count
        } catch {
            throw DatasetError(file: error.path, line: position.line + 1, reason: error.reason)
        }
        if isFirst { try refuseWhatIsNoText(end) }
    }

    private mutating func take(upTo lineEnd: Int, skipping terminator: Int) -> Range<Int> {
        var line = start..<lineEnd
        position.byteOffset += UInt64(lineEnd - start + terminator)
        start = lineEnd + terminator
        if line.count > 0, bytes[line.upperBound - 1] == UInt8(ascii: "\r") {
            line = line.lowerBound..<(line.upperBound - 1)
        }
        if position.line == 0, line.count >= 3, bytes[line.lowerBound] == 0xEF, bytes[line.lowerBound + 1] == 0xBB,
            bytes[line.lowerBound + 2] == 0xBF
        {
            line = (line.lowerBound + 3)..<line.upperBound
        }
        position.line += 1
        return line
    }

    /// Formats that a downloaded or exported file may have instead of plain text, by their first bytes.
    private static let otherForms: [(mark: [UInt8], what: String)] = [
        ([0xFF, 0xFE], "is UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`"),
        ([0xFE, 0xFF], "is UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`"),
        (Array("PK\u{3}\u{4}".utf8), "is a zip archive or a workbook; unpack it, or save the sheet as CSV"),
        (Array("BZh".utf8), "is compressed with bzip2; unpack it with `bunzip2`"),
        ([0xFD] + Array("7zXZ".utf8), "is compressed with xz; unpack it with `unxz`"),
        ([0x28, 0xB5, 0x2F, 0xFD], "is compressed with zstd; unpack it with `unzstd`"),
        ([0x37, 0x7A, 0xBC, 0xAF], "is a 7z archive; unpack it"),
        (Array("PAR1".utf8), "is Parquet; write it as JSON lines or CSV"),
        (Array("SQLite format".utf8), "is a SQLite database; export its table as CSV"),
        (Array("%PDF".utf8), "is a PDF"),
        ([0x1F, 0x8B], "is compressed with gzip twice; unpack it once"),
    ]

    private mutating func refuseWhatIsNoText(_ count: Int) throws(DatasetError) {
        for form in Self.otherForms where count >= form.mark.count && bytes[..<form.mark.count].elementsEqual(form.mark)
        {
            throw DatasetError(file: path, reason: form.what)
        }
        // Without a byte order mark, UTF-16 text has a zero in every other byte.
        guard count >= 4, (bytes[0] == 0) != (bytes[1] == 0), (bytes[0] == 0) == (bytes[2] == 0),
            (bytes[1] == 0) == (bytes[3] == 0)
        else { return }
        throw DatasetError(
            file: path,
            reason: "is UTF-16; convert it with `iconv -f UTF-16\(bytes[0] == 0 ? "BE" : "LE") -t UTF-8`"
        )
    }
}

/// Tracks the quotes of a record from line to line.
private struct QuoteScanner {
    static let quote = UInt8(ascii: "\"")
    private enum Place { case start, plain, quoted, afterQuote }
    private let delimiter: UInt8
    private var place = Place.start

    init(delimiter: UInt8) { self.delimiter = delimiter }

    /// Whether the record continues after this line.
    mutating func isOpen(after line: Range<Int>, of bytes: [UInt8]) -> Bool {
        for index in line {
            let byte = bytes[index]
            switch place {
            case .start: place = byte == Self.quote ? .quoted : byte == delimiter ? .start : .plain
            case .plain: if byte == delimiter { place = .start }
            case .quoted: if byte == Self.quote { place = .afterQuote }
            case .afterQuote: place = byte == Self.quote ? .quoted : byte == delimiter ? .start : .plain
            }
        }
        return place == .quoted
    }
}
