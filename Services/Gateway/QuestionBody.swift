import Foundation
import Identifiers
import Messages
import ServiceRuntime

/// Reads a question from the body of a request.
///
/// `user` and `question` (or `text`) are needed. `form`, `items` (or `item_count`), `maximum_tokens`, `temperature`, `seed`,
/// `minimum_event_count`, `deadline_ms` (from now) or `deadline` (milliseconds since 1970), `asked_at` and `id` may be
/// there. So a `Question` in its JSON form is taken as it is.
struct QuestionBody {
    private static let fieldNames = [
        "user", "question", "text", "form", "items", "item_count", "maximum_tokens", "temperature", "seed",
        "minimum_event_count", "deadline_ms", "deadline", "asked_at", "id",
    ]
    /// The longest time a question may be given.
    private static let maximumMilliseconds: Int64 = 86_400_000

    private let fields: [String: JSONValue]

    /// Reads the JSON object.
    init(_ body: [UInt8]) throws(MessageError) {
        guard String(validating: body, as: UTF8.self) != nil else {
            throw MessageError(field: "body", reason: "is not UTF-8: send JSON in UTF-8")
        }
        let value: JSONValue
        do {
            value = try JSONDecoder().decode(JSONValue.self, from: Data(body))
        } catch {
            throw MessageError(field: "body", reason: "is not JSON: send {\"user\": \"...\", \"question\": \"...\"}")
        }
        guard case .object(let fields) = value else {
            throw MessageError(
                field: "body",
                reason: "is \(value.shown): send an object, {\"user\": \"...\", \"question\": \"...\"}"
            )
        }
        for name in fields.keys.sorted() where !Self.fieldNames.contains(name) {
            throw MessageError(
                field: name,
                reason: "is not a field of a question: there are \(Self.fieldNames.joined(separator: ", "))"
            )
        }
        self.fields = fields
    }

    /// Makes the question, with an id of its own where the caller gave none.
    func question(now: Int64, defaultDeadline: Duration) throws(MessageError) -> Question {
        let askedAt = try integer("asked_at", in: Limits.times) ?? now
        let question = Question(
            id: QuestionID(try text("id") ?? UUID().uuidString.lowercased()),
            user: UserID(try required("user")),
            text: try questionText(),
            form: try form() ?? .known,
            itemCount: try itemCount(),
            maximumTokens: Int(try integer("maximum_tokens", in: 1...Int64(Limits.tokenCount)) ?? 32),
            temperature: try number("temperature") ?? 0,
            seed: try unsigned("seed") ?? 0,
            minimumEventCount: UInt64(try integer("minimum_event_count", in: 0...Int64.max) ?? 0),
            askedAt: askedAt,
            deadline: try deadline(now: now, default: defaultDeadline)
        )
        do throws(MessageError) {
            try question.validate()
        } catch {
            // The caller's word for the text may be another than the record's.
            guard error.field == "text", value("question") != nil else { throw error }
            throw MessageError(field: "question", reason: error.reason)
        }
        return question
    }

    private func questionText() throws(MessageError) -> String {
        if let text = try text("question") { return text }
        return try required("text", shownAs: "question")
    }

    private func itemCount() throws(MessageError) -> Int {
        let range: ClosedRange<Int64> = 0...Int64(Limits.itemCount)
        if let count = try integer("items", in: range) { return Int(count) }
        return Int(try integer("item_count", in: range) ?? 10)
    }

    private func deadline(now: Int64, default duration: Duration) throws(MessageError) -> Int64 {
        let relative = try integer("deadline_ms", in: 1...Self.maximumMilliseconds)
        let absolute = try integer("deadline", in: Limits.times)
        guard relative == nil || absolute == nil else {
            throw MessageError(field: "deadline", reason: "is given twice: send deadline_ms or deadline, not both")
        }
        if let absolute, absolute - now > Self.maximumMilliseconds {
            throw MessageError(
                field: "deadline",
                reason: "\(absolute) is more than a day ahead: send at most \(now + Self.maximumMilliseconds)"
            )
        }
        return absolute ?? now + (relative ?? Int64(duration / .milliseconds(1)))
    }

    private func form() throws(MessageError) -> Question.AnswerForm? {
        guard let name = try text("form") else { return nil }
        return try Question.AnswerForm(named: name)
    }

    // MARK: - Fields

    /// A field's value; nil when it is missing or null.
    private func value(_ name: String) -> JSONValue? {
        guard let value = fields[name], value != .null else { return nil }
        return value
    }

    private func required(_ name: String, shownAs shown: String? = nil) throws(MessageError) -> String {
        guard let text = try text(name) else {
            throw MessageError(field: shown ?? name, reason: "is missing: send a string")
        }
        return text
    }

    private func text(_ name: String) throws(MessageError) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw wrong(name, value, "a string") }
        return text
    }

    private func integer(_ name: String, in range: ClosedRange<Int64>) throws(MessageError) -> Int64? {
        guard let value = value(name) else { return nil }
        let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard case .integer(let number) = value, range.contains(number) else { throw wrong(name, value, expected) }
        return number
    }

    private func unsigned(_ name: String) throws(MessageError) -> UInt64? {
        switch value(name) {
        case nil: nil
        case .unsigned(let number)?: number
        case .integer(let number)? where number >= 0: UInt64(number)
        case let value?: throw wrong(name, value, "a whole number from 0 to \(UInt64.max)")
        }
    }

    private func number(_ name: String) throws(MessageError) -> Float? {
        switch value(name) {
        case nil: nil
        case .number(let number)?: Float(number)
        case .integer(let number)?: Float(number)
        case let value?: throw wrong(name, value, "a number")
        }
    }

    private func wrong(_ name: String, _ value: JSONValue, _ expected: String) -> MessageError {
        MessageError(field: name, reason: "\(value.shown) is not allowed: send \(expected)")
    }
}
