import CMessages

extension Question: WireRecord {
    /// The question as Protocol Buffers (`question.proto`).
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        let memory = MessageMemory()
        var message = Userllm__Question()
        userllm__question__init(&message)
        message.has_id = 1
        message.id = memory.bytes(id)
        message.has_user = 1
        message.user = memory.bytes(user)
        message.has_text = 1
        message.text = memory.bytes(text)
        message.has_form = 1
        message.form = form.wireValue
        message.has_item_count = 1
        message.item_count = UInt32(itemCount)
        message.has_maximum_tokens = 1
        message.maximum_tokens = UInt32(maximumTokens)
        message.has_temperature = 1
        message.temperature = temperature
        message.has_seed = 1
        message.seed = seed
        message.has_minimum_event_count = 1
        message.minimum_event_count = minimumEventCount
        message.has_asked_at = 1
        message.asked_at = askedAt
        message.has_deadline = 1
        message.deadline = deadline
        return packed(message, memory)
    }

    /// The question as JSON.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(QuestionJSON(self))
    }

    /// Reads a question.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        switch try ContentType(header: contentType) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json: self = try decodedJSON(QuestionJSON.self, bytes, "question").question()
        }
        try validate()
    }

    private init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "Question", userllm__question__unpack)
        defer { userllm__question__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        guard let form = AnswerForm.allCases.first(where: { $0.wireValue == message.form }) else {
            throw MessageError(field: "form", reason: "\(message.form.rawValue) is not known: send 0 to 3")
        }
        self.init(
            id: try message.id.text("id"),
            user: try message.user.text("user"),
            text: try message.text.text("text"),
            form: form,
            itemCount: message.has_item_count != 0 ? Int(message.item_count) : 10,
            maximumTokens: message.has_maximum_tokens != 0 ? Int(message.maximum_tokens) : 32,
            temperature: message.temperature,
            seed: message.seed,
            minimumEventCount: message.minimum_event_count,
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

/// A question's JSON form.
private struct QuestionJSON: Codable {
    let id: String
    let user: String
    let text: String
    let form: String?
    let itemCount: Int?
    let maximumTokens: Int?
    let temperature: Float?
    let seed: UInt64?
    let minimumEventCount: UInt64?
    let askedAt: JSONTime
    let deadline: JSONTime

    enum CodingKeys: String, CodingKey {
        case id, user, text, form, temperature, seed, deadline
        case itemCount = "item_count"
        case maximumTokens = "maximum_tokens"
        case minimumEventCount = "minimum_event_count"
        case askedAt = "asked_at"
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
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let number = "a whole number from 0"
        id = try fields.required(String.self, .id, "a string")
        user = try fields.required(String.self, .user, "a string")
        text = try fields.required(String.self, .text, "a string")
        form = try fields.optional(String.self, .form, "a string")
        itemCount = try fields.optional(Int.self, .itemCount, number)
        maximumTokens = try fields.optional(Int.self, .maximumTokens, number)
        temperature = try fields.optional(Float.self, .temperature, "a number")
        seed = try fields.optional(UInt64.self, .seed, number)
        minimumEventCount = try fields.optional(UInt64.self, .minimumEventCount, number)
        askedAt = try fields.required(JSONTime.self, .askedAt, JSONTime.expected)
        deadline = try fields.required(JSONTime.self, .deadline, JSONTime.expected)
    }

    func question() throws(MessageError) -> Question {
        Question(
            id: id,
            user: user,
            text: text,
            form: try form.map { value throws(MessageError) in try Question.AnswerForm(named: value) } ?? .known,
            itemCount: itemCount ?? 10,
            maximumTokens: maximumTokens ?? 32,
            temperature: temperature ?? 0,
            seed: seed ?? 0,
            minimumEventCount: minimumEventCount ?? 0,
            askedAt: askedAt.milliseconds,
            deadline: deadline.milliseconds
        )
    }
}

extension Question.AnswerForm {
    /// Reads a form's name, as in JSON.
    public init(named name: String) throws(MessageError) {
        guard let form = Self(rawValue: name) else {
            let names = Self.allCases.map(\.rawValue).joined(separator: ", ")
            throw MessageError(field: "form", reason: "\(quoted(name)) is not known: send one of \(names)")
        }
        self = form
    }
}
