import Foundation
import Bytes

/// The end of a log file, for an error about the process that wrote it.
enum LogTail {
    /// The last non-empty line; the file's name if there is none.
    static func lastLine(of path: String) -> String {
        lastLines(of: path, count: 1).first ?? "\(path) is empty"
    }

    /// The last lines.
    static func lastLines(of path: String, count: Int) -> [String] {
        guard let handle = FileHandle(forReadingAtPath: path) else { return [] }
        defer { try? handle.close() }
        let size = (try? handle.seekToEnd()) ?? 0
        try? handle.seek(toOffset: size - min(size, 16_384))
        let text = String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).suffix(count).map(String.init)
    }

    /// The message and error of a JSON log line; otherwise the line itself.
    static func readable(_ line: String) -> String { ControlCharacters.escaped(words(of: line)) }

    private static func words(of line: String) -> String {
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
            let message = object["message"] as? String
        else { return line }
        guard let error = object["error"] as? String ?? object["reason"] as? String else { return message }
        return "\(message): \(error)"
    }
}
