import CMessages
internal import Bytes
public import JSON

extension Question: RecordCoding {
    /// The question as Protocol Buffers (`question.proto`).
    func packedUnchecked() -> [UInt8] {
        let memory = MessageMemory()
        var message = Userllm__Question()
        userllm__question__init(&message)
        (message.has_id, message.id) = present(memory.bytes(id))
        (message.has_user, message.user) = present(memory.bytes(user))
        (message.has_text, message.text) = present(memory.bytes(text))
        (message.has_form, message.form) = present(form.wireValue)
        (message.has_item_count, message.item_count) = present(UInt32(itemCount))
        (message.has_maximum_tokens, message.maximum_tokens) = present(UInt32(maximumTokens))
        (message.has_temperature, message.temperature) = present(temperature)
        (message.has_seed, message.seed) = present(seed)
        (message.has_minimum_event_count, message.minimum_event_count) = present(minimumEventCount)
        (message.has_asked_at, message.asked_at) = present(askedAt)
        (message.has_deadline, message.deadline) = present(deadline)
        return packed(message, memory)
    }

    init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "Question", userllm__question__unpack)
        defer { userllm__question__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        guard let form = AnswerForm.allCases.first(where: { $0.wireValue == message.form }) else {
            throw MessageError(field: "form", reason: "\(message.form.rawValue) is not known: send 0 to 3")
        }
        var options = Options()
        options.form = form
        if message.has_item_count != 0 { options.itemCount = Int(message.item_count) }
        if message.has_maximum_tokens != 0 { options.maximumTokens = Int(message.maximum_tokens) }
        options.temperature = message.temperature
        options.seed = message.seed
        options.minimumEventCount = message.minimum_event_count
        self.init(
            id: try message.id.id("id"),
            user: try message.user.id("user"),
            text: try message.text.text("text"),
            options: options,
            askedAt: message.asked_at,
            deadline: message.deadline
        )
    }

    /// Checks sizes and ranges.
    public func validate() throws(MessageError) {
        try Check.identifier(id, "id")
        try Check.identifier(user, "user")
        guard !text.isEmpty else { throw MessageError(field: "text", reason: "is empty: ask something") }
        try Check.text(text, "text", limit: Limits.textByteCount)
        try Check.range(itemCount, 0...Limits.itemCount, "item_count")
        try Check.range(maximumTokens, 1...Limits.tokenCount, "maximum_tokens")
        try Check.finite(temperature, "temperature")
        try Check.range(temperature, 0...100, "temperature")
        try Check.count(minimumEventCount, "minimum_event_count")
        try Check.time(askedAt, "asked_at")
        try Check.time(deadline, "deadline")
    }
}

extension Question.AnswerForm {
    fileprivate var wireValue: Userllm__Question__AnswerForm {
        switch self {
        case .known: USERLLM__QUESTION__ANSWER_FORM__KNOWN
        case .title: USERLLM__QUESTION__ANSWER_FORM__TITLE
        case .category: USERLLM__QUESTION__ANSWER_FORM__CATEGORY
        case .text: USERLLM__QUESTION__ANSWER_FORM__TEXT
        }
    }
}

extension Question {
    enum Field: String, ObjectField {
        static let object = "a question"

        case id, user, text, form
        case itemCount = "item_count"
        case maximumTokens = "maximum_tokens"
        case temperature, seed
        case minimumEventCount = "minimum_event_count"
        case askedAt = "asked_at"
        case deadline

        var otherNames: [String] {
            switch self {
            case .id: ["question_id", "questionId"]
            case .user: UserID.otherFieldNames
            case .text: ["question"]
            case .itemCount: ["items"]
            default: []
            }
        }
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(id, forKey: .id)
        try json.encode(user, forKey: .user)
        try json.encode(text, forKey: .text)
        try json.encode(form.rawValue, forKey: .form)
        try json.encode(itemCount, forKey: .itemCount)
        try json.encode(maximumTokens, forKey: .maximumTokens)
        try json.encode(temperature, forKey: .temperature)
        try json.encode(seed, forKey: .seed)
        try json.encode(minimumEventCount, forKey: .minimumEventCount)
        try json.encode(time: askedAt, forKey: .askedAt)
        try json.encode(time: deadline, forKey: .deadline)
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (id, user, text): (QuestionID?, UserID?, String?)
        var options = Options()
        var (askedAt, deadline): (Int64?, Int64?)
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .id: id = try scanner.identifier()
            case .user: user = try scanner.identifier()
            case .text: text = try scanner.string()
            case .form: options.form = try scanner.answerForm()
            case .itemCount: options.itemCount = try scanner.integer()
            case .maximumTokens: options.maximumTokens = try scanner.integer()
            case .temperature: options.temperature = try scanner.float()
            case .seed: options.seed = try scanner.integer()
            case .minimumEventCount: options.minimumEventCount = try scanner.integer()
            case .askedAt: askedAt = try scanner.time()
            case .deadline: deadline = try scanner.time()
            }
        }
        self.init(
            id: try Field.id.required(id, "a string"),
            user: try Field.user.required(user, "a string"),
            text: try Field.text.required(text, "a string"),
            options: options,
            askedAt: try Field.askedAt.required(askedAt, Timestamp.expected),
            deadline: try Field.deadline.required(deadline, Timestamp.expected)
        )
    }
}

extension JSONScanner {
    /// Reads the name of an answer's form.
    public mutating func answerForm() throws(JSONError) -> Question.AnswerForm { try name() }
}
