internal import Bytes
public import JSON

extension Question {
    /// The fields of a conversation and of the sampling of free text, named as in a question's JSON form.
    ///
    /// A record of the log and the body of a request share them.
    public enum ChatField: String, CaseIterable, Sendable {
        /// The system prompt.
        case system
        /// The conversation before the question.
        case turns
        /// How many of the likeliest tokens are sampled from.
        case topK = "top_k"
        /// The probability of the tokens that are sampled from, together.
        case topP = "top_p"
        /// The least probability of a token, as a share of the likeliest one's.
        case minP = "min_p"
        /// What the logits of tokens that have occurred are divided by.
        case repetitionPenalty = "repetition_penalty"
        /// What is subtracted from the logits of tokens that have occurred.
        case presencePenalty = "presence_penalty"
        /// What is subtracted from a token's logit for each time it has occurred.
        case frequencyPenalty = "frequency_penalty"
        /// Where the answer ends.
        case stop

        /// The names of all fields, in the order of `allCases`, for a `FieldNames`.
        public static let names = allCases.map { [$0.rawValue] }
    }

    /// Reads the value of one of the fields of a chat; `validate` checks its range.
    ///
    /// - Parameters:
    ///   - field: the field.
    ///   - scanner: stands before its value.
    ///   - policy: how unknown fields of a turn are handled.
    /// - Throws: `JSONError` for a value of another type.
    public mutating func read(
        _ field: ChatField,
        from scanner: inout JSONScanner,
        unknown policy: UnknownFields.Policy
    ) throws(JSONError) {
        switch field {
        case .system: system = try scanner.string()
        case .turns:
            turns = try scanner.readArray { scanner throws(JSONError) in try Turn(&scanner, unknown: policy) }
        case .topK: topK = try scanner.integer()
        case .topP: topP = try scanner.float()
        case .minP: minP = try scanner.float()
        case .repetitionPenalty: repetitionPenalty = try scanner.float()
        case .presencePenalty: presencePenalty = try scanner.float()
        case .frequencyPenalty: frequencyPenalty = try scanner.float()
        case .stop: stop = try scanner.stopTexts()
        }
    }

    private enum Field: Int, CaseIterable {
        case id, user, text, form, itemCount, maximumTokens, temperature, seed, minimumEventCount, askedAt, deadline
    }

    /// In the order of `Field`, then of `ChatField`.
    private static let fields = FieldNames(
        of: "a question",
        [
            ["id", "question_id", "questionId"], ["user", "user_id", "userId"], ["text", "question"], ["form"],
            ["item_count", "items"], ["maximum_tokens"], ["temperature"], ["seed"], ["minimum_event_count"],
            ["asked_at"],
            ["deadline"],
        ] + ChatField.names
    )

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var question = Question(id: "", user: "", text: "", askedAt: 0, deadline: 0)
        var (id, user, text): (QuestionID?, UserID?, String?)
        var (askedAt, deadline): (Int64?, Int64?)
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .id: id = try scanner.identifier()
            case .user: user = try scanner.identifier()
            case .text: text = try scanner.string()
            case .form: question.form = try scanner.answerForm()
            case .itemCount: question.itemCount = try scanner.integer()
            case .maximumTokens: question.maximumTokens = try scanner.integer()
            case .temperature: question.temperature = try scanner.float()
            case .seed: question.seed = try scanner.integer()
            case .minimumEventCount: question.minimumEventCount = try scanner.integer()
            case .askedAt: askedAt = try scanner.time()
            case .deadline: deadline = try scanner.time()
            case nil:
                let field = ChatField.allCases[field - Field.allCases.count]
                try question.read(field, from: &scanner, unknown: .ignored)
            }
        }
        question.id = try required(id, "id", "a string")
        question.user = try required(user, "user", "a string")
        question.text = try required(text, "text", "a string")
        question.askedAt = try required(askedAt, "asked_at", Timestamp.expected)
        question.deadline = try required(deadline, "deadline", Timestamp.expected)
        self = question
    }
}

extension Question.Turn {
    private enum Field: Int { case role, text }
    /// In the order of `Field`.
    private static let fields = FieldNames(of: "a turn", [["role"], ["text"]])

    fileprivate init(_ scanner: inout JSONScanner, unknown policy: UnknownFields.Policy) throws(JSONError) {
        var role: Role?
        var text: String?
        var unknown = UnknownFields(policy)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .role: role = try scanner.role()
            case .text: text = try scanner.string()
            case nil: break
            }
        }
        self.init(
            role: try required(role, "role", "user or assistant"),
            text: try required(text, "text", "a string")
        )
    }
}

extension JSONScanner {
    /// Reads the name of an answer's form.
    public mutating func answerForm() throws(JSONError) -> Question.AnswerForm {
        let start = position
        if let form = Question.AnswerForm(rawValue: try string()) { return form }
        goBack(to: start)
        throw try mismatch("one of \(Question.AnswerForm.allCases.map(\.rawValue).joined(separator: ", "))")
    }

    /// Reads who wrote a turn.
    fileprivate mutating func role() throws(JSONError) -> Question.Turn.Role {
        let start = position
        if let role = Question.Turn.Role(rawValue: try string()) { return role }
        goBack(to: start)
        let roles = Question.Turn.Role.allCases.map(\.rawValue).joined(separator: ", ")
        throw try mismatch("one of \(roles); a system prompt is the question's field system")
    }

    /// Reads the texts at which an answer ends: one, or an array of them.
    fileprivate mutating func stopTexts() throws(JSONError) -> [String] {
        switch peek() {
        case UInt8(ascii: "\""): [try string()]
        case UInt8(ascii: "["): try strings()
        default: throw try mismatch("a string, or an array of strings")
        }
    }
}

/// A question's JSON form; what has its default is left out, but for what the first version had.
struct QuestionJSON: Encodable {
    struct Turn: Encodable {
        let role: String
        let text: String
    }

    let id: QuestionID
    let user: UserID
    let text: String
    let form: String?
    let itemCount: Int?
    let maximumTokens: Int?
    let temperature: Float?
    let seed: UInt64?
    let minimumEventCount: UInt64?
    let askedAt: JSONTime
    let deadline: JSONTime
    let system: String?
    let turns: [Turn]?
    let topK: Int?
    let topP: Float?
    let minP: Float?
    let repetitionPenalty: Float?
    let presencePenalty: Float?
    let frequencyPenalty: Float?
    let stop: [String]?

    enum CodingKeys: String, CodingKey {
        case id, user, text, form, temperature, seed, deadline, system, turns, stop
        case itemCount = "item_count"
        case maximumTokens = "maximum_tokens"
        case minimumEventCount = "minimum_event_count"
        case askedAt = "asked_at"
        case topK = "top_k"
        case topP = "top_p"
        case minP = "min_p"
        case repetitionPenalty = "repetition_penalty"
        case presencePenalty = "presence_penalty"
        case frequencyPenalty = "frequency_penalty"
    }

    init(_ question: Question) {
        id = question.id
        user = question.user
        text = question.text
        form = question.form.rawValue
        itemCount = question.itemCount
        maximumTokens = question.maximumTokens
        temperature = question.temperature
        seed = question.seed
        minimumEventCount = question.minimumEventCount
        askedAt = JSONTime(question.askedAt)
        deadline = JSONTime(question.deadline)
        system = question.system
        turns = question.turns.isEmpty ? nil : question.turns.map { Turn(role: $0.role.rawValue, text: $0.text) }
        topK = question.topK == 0 ? nil : question.topK
        topP = question.topP == 1 ? nil : question.topP
        minP = question.minP == 0 ? nil : question.minP
        repetitionPenalty = question.repetitionPenalty == 1 ? nil : question.repetitionPenalty
        presencePenalty = question.presencePenalty == 0 ? nil : question.presencePenalty
        frequencyPenalty = question.frequencyPenalty == 0 ? nil : question.frequencyPenalty
        stop = question.stop.isEmpty ? nil : question.stop
    }
}
