internal import InputFiles

/// Reads a file line by line in bounded memory, also one compressed with gzip.
///
/// A line ends with `\n` or `\r\n`, the last one may end with the file. A byte order mark at the file's start is passed
/// over.
struct LineReader {
    /// After the last line that was given out.
    private(set) var position: ReadPosition
    /// The bytes that `next` gives ranges of; they stand until it is called again.
    private(set) var bytes: [UInt8]

    private let file: InputFile
    private let maximumLength: Int
    private var start = 0
    private var end = 0
    private var isAtEnd = false

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
    /// How much of the file on disk has been read.
    var bytesRead: Int { file.bytesRead }

    /// Where the next line stands in `bytes`, without its end; nil at the end of the file.
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
            searched = end - start
            try fill()
        }
    }

    /// Moves what is left of a line to the front and reads on behind it.
    private mutating func fill() throws(DatasetError) {
        if start > 0 {
            let rest = end - start
            for index in 0..<rest { bytes[index] = bytes[start + index] }
            (start, end) = (0, rest)
        }
        if end == bytes.count { bytes.append(contentsOf: [UInt8](repeating: 0, count: bytes.count)) }
        do throws(InputFileError) {
            let count = try file.read(into: &bytes, from: end)
            if count == 0 { isAtEnd = true }
            end += count
        } catch {
            throw DatasetError(file: error.path, line: position.line + 1, reason: error.reason)
        }
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
}
