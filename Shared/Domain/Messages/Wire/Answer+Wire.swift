import CMessages
internal import Bytes
internal import JSON

extension Answer: RecordCoding {
    /// The answer as Protocol Buffers (`answer.proto`).
    func packedUnchecked() -> [UInt8] {
        let memory = MessageMemory(byteCount: 2_048)
        var message = Userllm__Answer()
        userllm__answer__init(&message)
        (message.has_question_id, message.question_id) = present(memory.bytes(questionID))
        (message.has_user, message.user) = present(memory.bytes(user))
        (message.has_status, message.status) = present(status.wireValue)
        (message.has_text, message.text) = present(memory.bytes(text))
        message.n_items = items.count
        if !items.isEmpty { message.items = memory.array(items.map { Self.message($0, memory) }) }
        (message.has_reason, message.reason) = present(memory.bytes(reason))
        (message.has_model_version, message.model_version) = present(memory.bytes(modelVersion))
        (message.has_event_count, message.event_count) = present(eventCount)
        (message.has_asked_at, message.asked_at) = present(askedAt)
        (message.has_answered_at, message.answered_at) = present(answeredAt)
        (message.has_first_token_microseconds, message.first_token_microseconds) = present(firstTokenMicroseconds)
        (message.has_compute_microseconds, message.compute_microseconds) = present(computeMicroseconds)
        // What has nothing to say is left out, so that an answer without them has the bytes of earlier versions.
        if promptTokens != 0 { (message.has_prompt_tokens, message.prompt_tokens) = present(promptTokens) }
        if answerTokens != 0 { (message.has_answer_tokens, message.answer_tokens) = present(answerTokens) }
        if let finish { (message.has_finish, message.finish) = present(finish.wireValue) }
        return packed(message, memory)
    }

    private static func message(_ item: Item, _ memory: MessageMemory) -> Userllm__Answer__Item {
        var message = Userllm__Answer__Item()
        userllm__answer__item__init(&message)
        (message.has_id, message.id) = present(memory.bytes(item.id))
        (message.has_title, message.title) = present(memory.bytes(item.title))
        (message.has_score, message.score) = present(item.score)
        return message
    }

    init(protobuf bytes: [UInt8]) throws(MessageError) {
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

extension Answer {
    enum Field: String, ObjectField {
        static let object = "an answer"

        case questionID = "question_id"
        case user, status, text, items, reason
        case modelVersion = "model_version"
        case eventCount = "event_count"
        case askedAt = "asked_at"
        case answeredAt = "answered_at"
        case firstTokenMicroseconds = "first_token_microseconds"
        case computeMicroseconds = "compute_microseconds"
        case promptTokens = "prompt_tokens"
        case answerTokens = "answer_tokens"
        case finish

        var otherNames: [String] { self == .user ? UserID.otherFieldNames : [] }
    }

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(questionID, forKey: .questionID)
        try json.encode(user, forKey: .user)
        try json.encode(status.rawValue, forKey: .status)
        try json.encode(text, forKey: .text)
        try json.encode(items.map(JSONForm.init), forKey: .items)
        if !reason.isEmpty { try json.encode(reason, forKey: .reason) }
        try json.encode(modelVersion, forKey: .modelVersion)
        try json.encode(eventCount, forKey: .eventCount)
        try json.encode(askedAt, forKey: .askedAt)
        try json.encode(answeredAt, forKey: .answeredAt)
        try json.encode(firstTokenMicroseconds, forKey: .firstTokenMicroseconds)
        try json.encode(computeMicroseconds, forKey: .computeMicroseconds)
        try json.encode(promptTokens, forKey: .promptTokens)
        try json.encode(answerTokens, forKey: .answerTokens)
        try json.encodeIfPresent(finish?.rawValue, forKey: .finish)
    }

    private static let fields = ObjectFields<Field>()

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (questionID, user): (QuestionID?, UserID?)
        var (text, reason, modelVersion) = ("", "", "")
        var status: Status?
        var items: [Item] = []
        var (eventCount, firstToken, compute) = (0 as UInt64, 0 as UInt64, 0 as UInt64)
        var (askedAt, answeredAt): (Int64?, Int64?)
        var (promptTokens, answerTokens) = (0 as UInt32, 0 as UInt32)
        var finish: Finish?
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .questionID: questionID = try scanner.identifier()
            case .user: user = try scanner.identifier()
            case .status: status = try scanner.name()
            case .text: text = try scanner.string()
            case .items: items = try scanner.objects()
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
            }
        }
        self.init(
            questionID: try Field.questionID.required(questionID, "a string"),
            user: try Field.user.required(user, "a string"),
            status: try Field.status.required(status, "a string"),
            text: text,
            items: items,
            reason: reason,
            modelVersion: modelVersion,
            eventCount: eventCount,
            askedAt: try Field.askedAt.required(askedAt, "milliseconds since 1970"),
            answeredAt: try Field.answeredAt.required(answeredAt, "milliseconds since 1970"),
            firstTokenMicroseconds: firstToken,
            computeMicroseconds: compute,
            promptTokens: promptTokens,
            answerTokens: answerTokens,
            finish: finish
        )
    }
}

extension Answer.Item: JSONWritable, JSONReadable {
    enum Field: String, ObjectField {
        static let object = "an item"

        case id, title, score
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(id, forKey: .id)
        try json.encode(title, forKey: .title)
        try json.encode(score, forKey: .score)
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (id, title, score): (ItemID?, String?, Float?)
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .id: id = try scanner.identifier()
            case .title: title = try scanner.string()
            case .score: score = try scanner.float()
            }
        }
        self.init(
            id: try Field.id.required(id, "a string"),
            title: try Field.title.required(title, "a string"),
            score: try Field.score.required(score, "a number")
        )
    }
}

extension JSONScanner {
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
