import CMessages

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
        switch try ContentType(header: contentType) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json: self = try decodedJSON(AnswerJSON.self, bytes, "answer").answer()
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
        var items: [Item] = []
        items.reserveCapacity(message.n_items)
        for index in 0..<message.n_items {
            guard let item = message.items[index]?.pointee else { continue }
            let id = try item.id.text("items[\(index)].id")
            items.append(Item(id: id, title: try item.title.text("items[\(index)].title"), score: item.score))
        }
        self.init(
            questionID: try message.question_id.text("question_id"),
            user: try message.user.text("user"),
            status: status,
            text: try message.text.text("text"),
            items: items,
            reason: try message.reason.text("reason"),
            modelVersion: try message.model_version.text("model_version"),
            eventCount: message.event_count,
            askedAt: message.asked_at,
            answeredAt: message.answered_at,
            firstTokenMicroseconds: message.first_token_microseconds,
            computeMicroseconds: message.compute_microseconds
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

/// An answer's JSON form.
private struct AnswerJSON: Codable {
    struct Item: Codable {
        let id: String
        let title: String
        let score: Float
    }

    let questionID: String
    let user: String
    let status: String
    let text: String?
    let items: [Item]?
    let reason: String?
    let modelVersion: String?
    let eventCount: UInt64?
    let askedAt: JSONTime
    let answeredAt: JSONTime
    let firstTokenMicroseconds: UInt64?
    let computeMicroseconds: UInt64?

    enum CodingKeys: String, CodingKey {
        case user, status, text, items, reason
        case questionID = "question_id"
        case modelVersion = "model_version"
        case eventCount = "event_count"
        case askedAt = "asked_at"
        case answeredAt = "answered_at"
        case firstTokenMicroseconds = "first_token_microseconds"
        case computeMicroseconds = "compute_microseconds"
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
        askedAt = JSONTime(answer.askedAt)
        answeredAt = JSONTime(answer.answeredAt)
        firstTokenMicroseconds = answer.firstTokenMicroseconds
        computeMicroseconds = answer.computeMicroseconds
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let number = "a whole number from 0"
        questionID = try fields.required(String.self, .questionID, "a string")
        user = try fields.required(String.self, .user, "a string")
        status = try fields.required(String.self, .status, "a string")
        text = try fields.optional(String.self, .text, "a string")
        items = try fields.optional([Item].self, .items, "an array of objects with id, title and score")
        reason = try fields.optional(String.self, .reason, "a string")
        modelVersion = try fields.optional(String.self, .modelVersion, "a string")
        eventCount = try fields.optional(UInt64.self, .eventCount, number)
        askedAt = try fields.required(JSONTime.self, .askedAt, JSONTime.expected)
        answeredAt = try fields.required(JSONTime.self, .answeredAt, JSONTime.expected)
        firstTokenMicroseconds = try fields.optional(UInt64.self, .firstTokenMicroseconds, number)
        computeMicroseconds = try fields.optional(UInt64.self, .computeMicroseconds, number)
    }

    func answer() throws(MessageError) -> Answer {
        guard let status = Answer.Status(rawValue: status) else {
            let names = Answer.Status.allCases.map(\.rawValue).joined(separator: ", ")
            throw MessageError(field: "status", reason: "\(quoted(self.status)) is not known: send one of \(names)")
        }
        return Answer(
            questionID: questionID,
            user: user,
            status: status,
            text: text ?? "",
            items: (items ?? []).map { Answer.Item(id: $0.id, title: $0.title, score: $0.score) },
            reason: reason ?? "",
            modelVersion: modelVersion ?? "",
            eventCount: eventCount ?? 0,
            askedAt: askedAt.milliseconds,
            answeredAt: answeredAt.milliseconds,
            firstTokenMicroseconds: firstTokenMicroseconds ?? 0,
            computeMicroseconds: computeMicroseconds ?? 0
        )
    }
}
