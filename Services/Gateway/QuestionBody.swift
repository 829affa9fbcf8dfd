import Foundation
import Bytes
import JSON
import Messages
import ServiceRuntime

/// Reads a question from the body of a request.
///
/// `user` and `question` (or `text`) are required. `form`, `items` (or `item_count`), `maximum_tokens`, `temperature`,
/// `seed`, `include_seen`, `minimum_event_count`, `deadline_ms` (from now) or `deadline` (a time), `asked_at` and `id` are
/// optional, and so are those of `Question.chatFields`: `system`, `turns` (`{"role": "user" or "assistant", "text": "..."}`, oldest
/// first) and, for free text, `top_k`, `top_p`, `min_p`, `repetition_penalty`, `presence_penalty`,
/// `frequency_penalty` and `stop` (a string or an array of strings). So the JSON form of a `Question` is accepted as it
/// is.
struct QuestionBody {
    private enum Field: String, ObjectField {
        static let object = "a question"

        case user, question, text, form, items
        case maximumTokens = "maximum_tokens"
        case temperature, seed
        case includesSeen = "include_seen"
        case minimumEventCount = "minimum_event_count"
        case deadlineMilliseconds = "deadline_ms"
        case deadline
        case askedAt = "asked_at"
        case id, system, turns
        case topK = "top_k"
        case topP = "top_p"
        case minP = "min_p"
        case repetitionPenalty = "repetition_penalty"
        case presencePenalty = "presence_penalty"
        case frequencyPenalty = "frequency_penalty"
        case stop

        var otherNames: [String] {
            switch self {
            case .user: ["user_id", "userId"]
            case .items: ["item_count"]
            case .id: ["question_id", "questionId"]
            default: []
            }
        }
    }

    private static let fields = ObjectFields<Field>()

    /// The longest time until a question's deadline.
    private static let maximumMilliseconds: Int64 = 86_400_000

    /// The question's other fields, with their defaults where they are not given.
    private var draft = Question(id: "", user: "", text: "", askedAt: 0, deadline: 0)
    private var user: String?
    private var question: String?
    private var text: String?
    private var deadlineMilliseconds: Int64?
    private var deadline: Int64?
    private var askedAt: Int64?
    private var id: String?

    /// Reads the JSON object.
    init(_ body: [UInt8]) throws(MessageError) {
        var scanner = JSONScanner(body)
        var unknown = UnknownFields(.refused)
        do throws(JSONError) {
            try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
                try read(field, &scanner)
            }
            try scanner.finish()
        } catch {
            let advice = error.field == nil ? ": send {\"user\": \"...\", \"question\": \"...\"}" : ""
            throw MessageError(field: error.field ?? "body", reason: error.detail + advice)
        }
    }

    private mutating func read(_ field: Field, _ scanner: inout JSONScanner) throws(JSONError) {
        switch field {
        case .user: user = try scanner.identifier()
        case .question: question = try scanner.string()
        case .text: text = try scanner.string()
        case .form: draft.form = try scanner.answerForm()
        case .items: draft.itemCount = try scanner.integer(in: 0...Limits.itemCount)
        case .maximumTokens: draft.maximumTokens = try scanner.integer(in: 1...Limits.tokenCount)
        case .temperature: draft.temperature = try scanner.float()
        case .seed: draft.seed = try scanner.integer(in: 0...UInt64.max)
        case .includesSeen: draft.includesSeen = try scanner.bool()
        case .minimumEventCount: draft.minimumEventCount = try scanner.integer(in: 0...UInt64(Int64.max))
        case .deadlineMilliseconds: deadlineMilliseconds = try scanner.integer(in: 1...Self.maximumMilliseconds)
        case .deadline: deadline = try scanner.time()
        case .askedAt: askedAt = try scanner.time()
        case .id: id = try scanner.identifier()
        case .system, .turns, .topK, .topP, .minP, .repetitionPenalty, .presencePenalty, .frequencyPenalty, .stop:
            try draft.readChatField(named: field.rawValue, from: &scanner, unknown: .refused)
        }
    }

    /// Makes the question, with a generated id if the caller gave none.
    func question(now: Int64, defaultDeadline: Duration) throws(MessageError) -> Question {
        var question = draft
        question.id = QuestionID(id ?? UUID().uuidString.lowercased())
        question.user = UserID(try required(user, "user"))
        question.text = try required(try questionText(), "question")
        question.askedAt = askedAt ?? now
        question.deadline = try deadline(now: now, default: defaultDeadline)
        do throws(MessageError) {
            try question.validate()
        } catch {
            // The caller may have used another name for the text than the record has.
            guard error.field == "text", self.question != nil else { throw error }
            throw MessageError(field: "question", reason: error.reason)
        }
        return question
    }

    private func questionText() throws(MessageError) -> String? {
        guard question == nil || text == nil else {
            throw MessageError(
                field: "text",
                reason: "is given besides question, which means the same: send one of them"
            )
        }
        return question ?? text
    }

    private func deadline(now: Int64, default duration: Duration) throws(MessageError) -> Int64 {
        guard deadlineMilliseconds == nil || deadline == nil else {
            throw MessageError(field: "deadline", reason: "is given twice: send deadline_ms or deadline, not both")
        }
        if let deadline, deadline - now > Self.maximumMilliseconds {
            throw MessageError(
                field: "deadline",
                reason: "\(deadline) is more than a day ahead: send at most \(now + Self.maximumMilliseconds)"
            )
        }
        return deadline ?? now + (deadlineMilliseconds ?? Int64(duration / .milliseconds(1)))
    }

    private func required(_ value: String?, _ name: String) throws(MessageError) -> String {
        guard let value else { throw MessageError(field: name, reason: "is missing: send a string") }
        return value
    }
}
