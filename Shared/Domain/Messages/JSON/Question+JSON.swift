internal import Bytes
public import JSON

extension Question {
    /// The fields of a question's JSON form; the body of a request shares those of `chatFields`.
    public enum Field: String, ObjectField {
        /// What the object is.
        public static let object = "a question"

        case id, user, text, form
        case itemCount = "item_count"
        case maximumTokens = "maximum_tokens"
        case temperature, seed
        case includesSeen = "include_seen"
        case minimumEventCount = "minimum_event_count"
        case askedAt = "asked_at"
        case deadline, system, turns
        case topK = "top_k"
        case topP = "top_p"
        case minP = "min_p"
        case repetitionPenalty = "repetition_penalty"
        case presencePenalty = "presence_penalty"
        case frequencyPenalty = "frequency_penalty"
        case stop

        /// Other names that producers give the field.
        public var otherNames: [String] {
            switch self {
            case .id: ["question_id", "questionId"]
            case .user: UserID.otherFieldNames
            case .text: ["question"]
            case .itemCount: ["items"]
            default: []
            }
        }
    }

    /// The fields of a conversation and of the sampling of free text.
    public static let chatFields: [Field] = [
        .system, .turns, .topK, .topP, .minP, .repetitionPenalty, .presencePenalty, .frequencyPenalty, .stop,
    ]

    /// Reads the value of a field of `chatFields`; `validate` checks its range.
    ///
    /// - Parameters:
    ///   - name: the field's raw value; another name is a programmer's error.
    ///   - scanner: stands before the value.
    ///   - policy: how unknown fields of a turn are handled.
    /// - Throws: `JSONError` for a value of another type.
    public mutating func readChatField(
        named name: String,
        from scanner: inout JSONScanner,
        unknown policy: UnknownFields.Policy
    ) throws(JSONError) {
        switch Field(rawValue: name) {
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
        default: preconditionFailure("\(name) is no field of a chat")
        }
    }

    private static let fields = ObjectFields<Field>()

    /// Writes the fields; what has its default is left out, but for what the first version had.
    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(id, forKey: .id)
        try json.encode(user, forKey: .user)
        try json.encode(text, forKey: .text)
        try json.encode(form.rawValue, forKey: .form)
        try json.encode(itemCount, forKey: .itemCount)
        try json.encode(maximumTokens, forKey: .maximumTokens)
        try json.encode(temperature, forKey: .temperature)
        try json.encode(seed, forKey: .seed)
        if includesSeen { try json.encode(includesSeen, forKey: .includesSeen) }
        try json.encode(minimumEventCount, forKey: .minimumEventCount)
        try json.encode(time: askedAt, forKey: .askedAt)
        try json.encode(time: deadline, forKey: .deadline)
        try json.encodeIfPresent(system, forKey: .system)
        if !turns.isEmpty { try json.encode(turns.map(JSONForm.init), forKey: .turns) }
        if topK != 0 { try json.encode(topK, forKey: .topK) }
        if topP != 1 { try json.encode(topP, forKey: .topP) }
        if minP != 0 { try json.encode(minP, forKey: .minP) }
        if repetitionPenalty != 1 { try json.encode(repetitionPenalty, forKey: .repetitionPenalty) }
        if presencePenalty != 0 { try json.encode(presencePenalty, forKey: .presencePenalty) }
        if frequencyPenalty != 0 { try json.encode(frequencyPenalty, forKey: .frequencyPenalty) }
        if !stop.isEmpty { try json.encode(stop, forKey: .stop) }
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var question = Question(id: "", user: "", text: "", askedAt: 0, deadline: 0)
        var (id, user, text): (QuestionID?, UserID?, String?)
        var (askedAt, deadline): (Int64?, Int64?)
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .id: id = try scanner.identifier()
            case .user: user = try scanner.identifier()
            case .text: text = try scanner.string()
            case .form: question.form = try scanner.answerForm()
            case .itemCount: question.itemCount = try scanner.integer()
            case .maximumTokens: question.maximumTokens = try scanner.integer()
            case .temperature: question.temperature = try scanner.float()
            case .seed: question.seed = try scanner.integer()
            case .includesSeen: question.includesSeen = try scanner.bool()
            case .minimumEventCount: question.minimumEventCount = try scanner.integer()
            case .askedAt: askedAt = try scanner.time()
            case .deadline: deadline = try scanner.time()
            case .system, .turns, .topK, .topP, .minP, .repetitionPenalty, .presencePenalty, .frequencyPenalty, .stop:
                try question.readChatField(named: field.rawValue, from: &scanner, unknown: .ignored)
            }
        }
        question.id = try Field.id.required(id, "a string")
        question.user = try Field.user.required(user, "a string")
        question.text = try Field.text.required(text, "a string")
        question.askedAt = try Field.askedAt.required(askedAt, Timestamp.expected)
        question.deadline = try Field.deadline.required(deadline, Timestamp.expected)
        self = question
    }
}

extension Question.Turn: JSONWritable {
    enum Field: String, ObjectField {
        static let object = "a turn"

        case role, text
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(role.rawValue, forKey: .role)
        try json.encode(text, forKey: .text)
    }

    fileprivate init(_ scanner: inout JSONScanner, unknown policy: UnknownFields.Policy) throws(JSONError) {
        var role: Role?
        var text: String?
        try scanner.readObject(Self.fields, unknown: policy) { field, scanner throws(JSONError) in
            switch field {
            case .role: role = try scanner.role()
            case .text: text = try scanner.string()
            }
        }
        self.init(
            role: try Field.role.required(role, "user or assistant"),
            text: try Field.text.required(text, "a string")
        )
    }
}

extension JSONScanner {
    /// Reads the name of an answer's form.
    public mutating func answerForm() throws(JSONError) -> Question.AnswerForm { try name() }

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
