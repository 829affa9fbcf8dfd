import CMessages
internal import Bytes
internal import JSON

extension Answer: WireRecord {
    /// The answer as Protocol Buffers (`answer.proto`).
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        let memory = MessageMemory(byteCount: 2_048)
        var message = Userllm__Answer()
        userllm__answer__init(&message)
        message.has_question_id = 1
        message.question_id = memory.bytes(questionID)
        message.has_user = 1
        message.user = memory.bytes(user)
        message.has_status = 1
        message.status = status.wireValue
        message.has_text = 1
        message.text = memory.bytes(text)
        message.n_items = items.count
        if !items.isEmpty { message.items = memory.array(items.map { Self.message($0, memory) }) }
        message.has_reason = 1
        message.reason = memory.bytes(reason)
        message.has_model_version = 1
        message.model_version = memory.bytes(modelVersion)
        message.has_event_count = 1
        message.event_count = eventCount
        message.has_asked_at = 1
        message.asked_at = askedAt
        message.has_answered_at = 1
        message.answered_at = answeredAt
        message.has_first_token_microseconds = 1
        message.first_token_microseconds = firstTokenMicroseconds
        message.has_compute_microseconds = 1
        message.compute_microseconds = computeMicroseconds
        // What has nothing to say is left out, so that an answer without them has the bytes of earlier versions.
        message.has_prompt_tokens = promptTokens == 0 ? 0 : 1
        message.prompt_tokens = promptTokens
        message.has_answer_tokens = answerTokens == 0 ? 0 : 1
        message.answer_tokens = answerTokens
        if let finish {
            message.has_finish = 1
            message.finish = finish.wireValue
        }
        return packed(message, memory)
    }

    private static func message(_ item: Item, _ memory: MessageMemory) -> Userllm__Answer__Item {
        var message = Userllm__Answer__Item()
        userllm__answer__item__init(&message)
        message.has_id = 1
        message.id = memory.bytes(item.id)
        message.has_title = 1
        message.title = memory.bytes(item.title)
        message.has_score = 1
        message.score = item.score
        return message
    }

    /// The answer as JSON.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(AnswerJSON(self))
    }

    /// Reads an answer.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        switch try ContentType(header: contentType, value: bytes) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json:
            self = try decodedJSON(bytes) { scanner throws(JSONError) in try Answer(&scanner) }
        }
        try validate()
    }

    private init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "Answer", userllm__answer__unpack)
        defer { userllm__answer__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        guard let status = Status.allCases.first(where: { $0.wireValue == message.status }) else {
            throw MessageError(field: "status", reason: "\(message.status.rawValue) is not known: send 1 to 4")
        }
        let finish = Finish.allCases.first { $0.wireValue == message.finish }
        guard finish != nil || message.finish == USERLLM__ANSWER__FINISH__FINISH_NONE else {
            throw MessageError(field: "finish", reason: "\(message.finish.rawValue) is not known: send 0 to 2")
        }
        var items: [Item] = []
        items.reserveCapacity(message.n_items)
        for index in 0..<message.n_items {
            guard let item = message.items[index]?.pointee else { continue }
            let id: ItemID = try item.id.id("items[\(index)].id")
            items.append(Item(id: id, title: try item.title.text("items[\(index)].title"), score: item.score))
        }
        self.init(
            questionID: try message.question_id.id("question_id"),
            user: try message.user.id("user"),
            status: status,
            text: try message.text.text("text"),
            items: items,
            reason: try message.reason.text("reason"),
            modelVersion: try message.model_version.text("model_version"),
            eventCount: message.event_count,
            askedAt: message.asked_at,
            answeredAt: message.answered_at,
            firstTokenMicroseconds: message.first_token_microseconds,
            computeMicroseconds: message.compute_microseconds,
            promptTokens: message.prompt_tokens,
            answerTokens: message.answer_tokens,
            finish: finish
        )
    }

    /// Checks sizes and ranges.
    public func validate() throws(MessageError) {
        try Check.identifier(questionID, "question_id")
        try Check.identifier(user, "user")
        try Check.text(text, "text", limit: Limits.textByteCount)
        try Check.range(items.count, 0...Limits.itemCount, "items.count")
        for (index, item) in items.enumerated() {
            try Check.identifier(item.id, "items[\(index)].id")
            try Check.text(item.title, "items[\(index)].title", limit: Limits.titleByteCount)
            try Check.finite(item.score, "items[\(index)].score")
        }
        try Check.text(reason, "reason", limit: Limits.textByteCount)
        try Check.text(modelVersion, "model_version", limit: Limits.identifierByteCount)
        try Check.count(eventCount, "event_count")
        try Check.time(askedAt, "asked_at")
        try Check.time(answeredAt, "answered_at")
    }
}

extension Answer.Status {
    fileprivate var wireValue: Userllm__Answer__Status {
        switch self {
        case .answered: USERLLM__ANSWER__STATUS__ANSWERED
        case .noHistory: USERLLM__ANSWER__STATUS__NO_HISTORY
        case .expired: USERLLM__ANSWER__STATUS__EXPIRED
        case .failed: USERLLM__ANSWER__STATUS__FAILED
        }
    }
}

extension Answer.Finish {
    fileprivate var wireValue: Userllm__Answer__Finish {
        switch self {
        case .stop: USERLLM__ANSWER__FINISH__STOP
        case .length: USERLLM__ANSWER__FINISH__LENGTH
        }
    }
}

/// An answer's JSON form.
private struct AnswerJSON: Encodable {
    struct Item: Encodable {
        let id: ItemID
        let title: String
        let score: Float
    }

    let questionID: QuestionID
    let user: UserID
    let status: String
    let text: String?
    let items: [Item]?
    let reason: String?
    let modelVersion: String?
    let eventCount: UInt64?
    let askedAt: Int64
    let answeredAt: Int64
    let firstTokenMicroseconds: UInt64?
    let computeMicroseconds: UInt64?
    let promptTokens: UInt32?
    let answerTokens: UInt32?
    let finish: String?

    enum CodingKeys: String, CodingKey {
        case user, status, text, items, reason, finish
        case questionID = "question_id"
        case modelVersion = "model_version"
        case eventCount = "event_count"
        case askedAt = "asked_at"
        case answeredAt = "answered_at"
        case firstTokenMicroseconds = "first_token_microseconds"
        case computeMicroseconds = "compute_microseconds"
        case promptTokens = "prompt_tokens"
        case answerTokens = "answer_tokens"
    }

    init(_ answer: Answer) {
        questionID = answer.questionID
        user = answer.user
        status = answer.status.rawValue
        text = answer.text
        items = answer.items.map { Item(id: $0.id, title: $0.title, score: $0.score) }
        reason = answer.reason.isEmpty ? nil : answer.reason
        modelVersion = answer.modelVersion
        eventCount = answer.eventCount
        askedAt = answer.askedAt
        answeredAt = answer.answeredAt
        firstTokenMicroseconds = answer.firstTokenMicroseconds
        computeMicroseconds = answer.computeMicroseconds
        promptTokens = answer.promptTokens
        answerTokens = answer.answerTokens
        finish = answer.finish?.rawValue
    }
}

extension Answer {
    private enum Field: Int {
        case questionID, user, status, text, items, reason, modelVersion, eventCount, askedAt, answeredAt
        case firstTokenMicroseconds, computeMicroseconds, promptTokens, answerTokens, finish
    }

    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "an answer",
        [
            ["question_id"], ["user", "user_id", "userId"], ["status"], ["text"], ["items"], ["reason"],
            ["model_version"],
            ["event_count"], ["asked_at"], ["answered_at"], ["first_token_microseconds"], ["compute_microseconds"],
            ["prompt_tokens"], ["answer_tokens"], ["finish"],
        ]
    )

    private init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (questionID, user): (QuestionID?, UserID?)
        var (text, reason, modelVersion): (String?, String?, String?)
        var status: Status?
        var items: [Item]?
        var (eventCount, firstToken, compute): (UInt64?, UInt64?, UInt64?)
        var (askedAt, answeredAt): (Int64?, Int64?)
        var (promptTokens, answerTokens): (UInt32?, UInt32?)
        var finish: Finish?
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .questionID: questionID = try scanner.identifier()
            case .user: user = try scanner.identifier()
            case .status: status = try scanner.status()
            case .text: text = try scanner.string()
            case .items: items = try scanner.readArray { scanner throws(JSONError) in try Item(&scanner) }
            case .reason: reason = try scanner.string()
            case .modelVersion: modelVersion = try scanner.string()
            case .eventCount: eventCount = try scanner.integer()
            case .askedAt: askedAt = try scanner.ownTime()
            case .answeredAt: answeredAt = try scanner.ownTime()
            case .firstTokenMicroseconds: firstToken = try scanner.integer()
            case .computeMicroseconds: compute = try scanner.integer()
            case .promptTokens: promptTokens = try scanner.integer()
            case .answerTokens: answerTokens = try scanner.integer()
            case .finish: finish = try scanner.finishReason()
            case nil: break
            }
        }
        self.init(
            questionID: try required(questionID, "question_id", "a string"),
            user: try required(user, "user", "a string"),
            status: try required(status, "status", "a string"),
            text: text ?? "",
            items: items ?? [],
            reason: reason ?? "",
            modelVersion: modelVersion ?? "",
            eventCount: eventCount ?? 0,
            askedAt: try required(askedAt, "asked_at", "milliseconds since 1970"),
            answeredAt: try required(answeredAt, "answered_at", "milliseconds since 1970"),
            firstTokenMicroseconds: firstToken ?? 0,
            computeMicroseconds: compute ?? 0,
            promptTokens: promptTokens ?? 0,
            answerTokens: answerTokens ?? 0,
            finish: finish
        )
    }
}

extension Answer.Item {
    private enum Field: Int { case id, title, score }
    /// In the order of `Field`.
    private static let fields = FieldNames(of: "an item", [["id"], ["title"], ["score"]])

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (id, title, score): (ItemID?, String?, Float?)
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .id: id = try scanner.identifier()
            case .title: title = try scanner.string()
            case .score: score = try scanner.float()
            case nil: break
            }
        }
        self.init(
            id: try required(id, "id", "a string"),
            title: try required(title, "title", "a string"),
            score: try required(score, "score", "a number")
        )
    }
}

extension JSONScanner {
    /// Reads the name of an answer's status.
    fileprivate mutating func status() throws(JSONError) -> Answer.Status {
        let start = position
        if let status = Answer.Status(rawValue: try string()) { return status }
        goBack(to: start)
        throw try mismatch("one of \(Answer.Status.allCases.map(\.rawValue).joined(separator: ", "))")
    }

    /// Reads why a text ended; an empty text says that it does not apply.
    fileprivate mutating func finishReason() throws(JSONError) -> Answer.Finish? {
        let start = position
        let name = try string()
        if name.isEmpty { return nil }
        if let finish = Answer.Finish(rawValue: name) { return finish }
        goBack(to: start)
        throw try mismatch("one of \(Answer.Finish.allCases.map(\.rawValue).joined(separator: ", ")), or empty")
    }
}
