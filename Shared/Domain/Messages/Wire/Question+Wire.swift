import CMessages
internal import Bytes
public import JSON

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
        switch try ContentType(header: contentType, value: bytes) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json:
            self = try decodedJSON(bytes) { scanner throws(JSONError) in try Question(&scanner) }
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
            id: try message.id.id("id"),
            user: try message.user.id("user"),
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
private struct QuestionJSON: Encodable {
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
}

extension Question {
    private enum Field: Int {
        case id, user, text, form, itemCount, maximumTokens, temperature, seed, minimumEventCount, askedAt, deadline
    }

    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "a question",
        [
            ["id", "question_id", "questionId"], ["user", "user_id", "userId"], ["text", "question"], ["form"],
            ["item_count", "items"], ["maximum_tokens"], ["temperature"], ["seed"], ["minimum_event_count"],
            ["asked_at"],
            ["deadline"],
        ]
    )

    private init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (id, user, text, form): (QuestionID?, UserID?, String?, AnswerForm?)
        var (itemCount, maximumTokens): (Int?, Int?)
        var temperature: Float?
        var (seed, minimumEventCount): (UInt64?, UInt64?)
        var (askedAt, deadline): (Int64?, Int64?)
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .id: id = try scanner.identifier()
            case .user: user = try scanner.identifier()
            case .text: text = try scanner.string()
            case .form: form = try scanner.answerForm()
            case .itemCount: itemCount = try scanner.integer()
            case .maximumTokens: maximumTokens = try scanner.integer()
            case .temperature: temperature = try scanner.float()
            case .seed: seed = try scanner.integer()
            case .minimumEventCount: minimumEventCount = try scanner.integer()
            case .askedAt: askedAt = try scanner.time()
            case .deadline: deadline = try scanner.time()
            case nil: break
            }
        }
        self.init(
            id: try required(id, "id", "a string"),
            user: try required(user, "user", "a string"),
            text: try required(text, "text", "a string"),
            form: form ?? .known,
            itemCount: itemCount ?? 10,
            maximumTokens: maximumTokens ?? 32,
            temperature: temperature ?? 0,
            seed: seed ?? 0,
            minimumEventCount: minimumEventCount ?? 0,
            askedAt: try required(askedAt, "asked_at", Timestamp.expected),
            deadline: try required(deadline, "deadline", Timestamp.expected)
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
}
