import Foundation
import RandomNumbers
import TestSupport
import Testing

@testable import JSON

/// Texts that are nearly JSON: the reader and Foundation's both take or both refuse them, and read the same values.
///
/// Where Foundation is laxer than RFC 8259, or stricter, the difference is a case of `Difference` with a test of its own.
@Suite struct FuzzedJSONTests {
    private static let count = Fuzzer.count(full: 2_000_000, daily: 40_000)

    private static let pieces = [
        "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "\"\"", "1", "-0", "0", "01", "1.5", "1e5", "1E+5", "1e-5",
        "1.", ".5",
        "-", "+1", "1e999", "-1e999", "1e-999", "null", "true", "false", "nul", "True", " ", "\n", "\t", "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\ude00\"", "\"\\n\"", "\"\\q\"", "\"\\u12\"", "\"é\"", "\"\u{1}\"",
        "\"\u{7f}\"", "'", "/**/", "NaN", "Infinity", "18446744073709551616", "123456789012345678901234567890", "0.1",
        "\u{FEFF}", "\u{A0}", "\"\\\"\\\\\\/\\b\\f\"", "9007199254740993", "4.35", "1.7976931348623157e308",
    ]

    /// Where the two may differ.
    private enum Difference {
        /// Foundation takes a comma after the last element.
        case trailingComma
        /// Foundation takes a name twice, and keeps one of the values.
        case duplicate
        /// Foundation takes more depth.
        case depth
        /// Foundation takes UTF-16 and UTF-32, which it sees by NUL bytes or a mark at the start.
        case otherEncoding

        static func of(_ error: JSONError, _ bytes: [UInt8]) -> Difference? {
            if error.reason.contains("a value after the comma") { return .trailingComma }
            if error.reason.contains("is given twice") { return .duplicate }
            if error.reason.contains("at most 64 values") { return .depth }
            let start = bytes.prefix(4)
            return start.contains(0) || start.starts(with: [0xFE, 0xFF]) || start.starts(with: [0xFF, 0xFE])
                ? .otherEncoding : nil
        }
    }

    private func theirs(_ bytes: [UInt8]) -> Any? {
        try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])
    }

    /// A text of one value, as deep as chance will have it.
    private func value(_ fuzzer: inout Fuzzer, depth: Int) -> String {
        switch fuzzer.random.below(depth > 5 ? 3 : 6) {
        case 0:
            return ["1", "-1.5e3", "0", "0.1", "123456789012", "1e-7", "-0", "9007199254740993"][fuzzer.random.below(8)]
        case 1: return ["\"a\"", "\"\\\"x\\\\\"", "\"\\ud83d\\ude00\"", "\"é\"", "\"\""][fuzzer.random.below(5)]
        case 2: return ["null", "true", "false"][fuzzer.random.below(3)]
        case 3:
            var parts: [String] = []
            for index in 0..<fuzzer.random.below(4) {
                parts.append("\"k\(index)\":\(value(&fuzzer, depth: depth + 1))")
            }
            return "{\(parts.joined(separator: ","))}"
        default:
            var parts: [String] = []
            for _ in 0..<fuzzer.random.below(4) { parts.append(value(&fuzzer, depth: depth + 1)) }
            return "[\(parts.joined(separator: " , "))]"
        }
    }

    private func text(_ index: Int, _ fuzzer: inout Fuzzer) -> [UInt8] {
        switch index % 3 {
        case 0:
            var text = ""
            for _ in 0...fuzzer.random.below(8) { text += Self.pieces[fuzzer.random.below(Self.pieces.count)] }
            return Array(text.utf8)
        case 1: return Array(value(&fuzzer, depth: 0).utf8)
        default: return fuzzer.damaged(Array(value(&fuzzer, depth: 0).utf8))
        }
    }

    @Test func takesAndRefusesWhatFoundationDoes() {
        var fuzzer = Fuzzer(seed: 8_259)
        var taken = 0
        for index in 0..<Self.count {
            let bytes = text(index, &fuzzer)
            let other = theirs(bytes)
            let own: JSONValue
            do throws(JSONError) {
                own = try JSONValue(parsing: bytes)
            } catch {
                guard other != nil, Difference.of(error, bytes) == nil else { continue }
                Issue.record(
                    "only Foundation takes \(String(decoding: bytes, as: UTF8.self).debugDescription): \(error)"
                )
                return
            }
            taken += 1
            guard let other, isSame(own, other) else {
                Issue.record("read otherwise: \(String(decoding: bytes, as: UTF8.self).debugDescription)")
                return
            }
        }
        #expect(taken > Self.count / 5 && taken < Self.count * 4 / 5)
    }

    /// What is passed over is checked as what is read is; numbers too large for a Double and names given twice are not seen.
    @Test func passingOverAndReadingAgree() {
        var fuzzer = Fuzzer(seed: 627)
        for index in 0..<Self.count {
            let bytes = text(index, &fuzzer)
            var readError: JSONError?
            do throws(JSONError) { _ = try JSONValue(parsing: bytes) } catch { readError = error }
            var scanner = JSONScanner(bytes)
            var skipError: JSONError?
            do throws(JSONError) {
                try scanner.skipValue()
                try scanner.finish()
            } catch {
                skipError = error
            }
            if let reason = readError?.reason, reason.contains("is given twice") || reason.contains("finite") {
                continue
            }
            guard (readError == nil) != (skipError == nil) else { continue }
            Issue.record("\(String(decoding: bytes, as: UTF8.self).debugDescription): \(String(describing: readError))")
            return
        }
    }

    private func isSame(_ own: JSONValue, _ other: Any) -> Bool {
        switch own {
        case .null: return other is NSNull
        case .bool(let value): return (other as? Bool) == value
        case .number(let number):
            // The C library's reader rounds rightly; Foundation is off by the last digit where there are many.
            guard let other = other as? NSNumber, let double = number.double, double == strtod(number.text, nil) else {
                return false
            }
            guard let whole = number.integer else {
                return abs(other.doubleValue - double) <= abs(double) * 1e-15 || double.magnitude < 1e-300
            }
            return other.int64Value == whole && other.doubleValue == double
        case .string(let text):
            // Foundation drops a byte order mark at the start of a string, or after an escape in it.
            guard let other = other as? String else { return false }
            return withoutMarks(text) == withoutMarks(other)
        case .array(let elements):
            guard let others = other as? [Any], others.count == elements.count else { return false }
            return zip(elements, others).allSatisfy { isSame($0, $1) }
        case .object(let object):
            guard let others = other as? [String: Any] else { return false }
            // Foundation's dictionary takes canonically equal names for one.
            guard others.count == object.fields.count else {
                return Set(object.fields.map(\.name)).count == others.count
            }
            return object.fields.allSatisfy { field in others[field.name].map { isSame(field.value, $0) } ?? false }
        }
    }

    private func withoutMarks(_ text: String) -> [Unicode.Scalar] { text.unicodeScalars.filter { $0 != "\u{FEFF}" } }

    // MARK: - The differences

    @Test func foundationDropsAMarkInText() throws {
        let text = Array("\"\u{FEFF}a\"".utf8)
        #expect((theirs(text) as? String).map { Array($0.utf8) } == [UInt8(ascii: "a")])
        var scanner = JSONScanner(text)
        #expect(try Array(scanner.string().utf8) == [0xEF, 0xBB, 0xBF, UInt8(ascii: "a")])
    }

    @Test(arguments: ["[1,]", "{\"a\":1,}", "[[],[],]", "{\"a\":{\"b\":[],}}"])
    func foundationTakesACommaAfterTheLastElement(text: String) {
        #expect(theirs(Array(text.utf8)) != nil)
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
    }

    @Test func foundationTakesANameTwice() {
        let text = Array("{\"a\":1,\"b\":{\"c\":2,\"c\":3}}".utf8)
        #expect(theirs(text) != nil)
        #expect(throws: JSONError(field: "b.c", reason: "is given twice in one object: send it once")) {
            try JSONValue(parsing: text)
        }
    }

    @Test func foundationTakesMoreDepth() throws {
        func nested(_ count: Int) -> [UInt8] {
            Array((String(repeating: "[", count: count) + String(repeating: "]", count: count)).utf8)
        }
        #expect(theirs(nested(65)) != nil)
        #expect(throws: JSONError.self) { try JSONValue(parsing: nested(65)) }
        #expect(throws: Never.self) { try JSONValue(parsing: nested(64)) }
    }

    @Test func foundationTakesUTF16() {
        let text: [UInt8] = [0x7B, 0, 0x7D, 0]
        #expect(theirs(text) != nil)
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    }
}
