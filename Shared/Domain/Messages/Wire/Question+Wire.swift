import CMessages
internal import Bytes
internal import JSON

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
        setChatFields(of: &message, memory)
        if includesSeen { (message.has_include_seen, message.include_seen) = present(1) }
        return packed(message, memory)
    }

    /// What has its default is left out, so that a question without these fields has the bytes of earlier versions.
    private func setChatFields(of message: inout Userllm__Question, _ memory: MessageMemory) {
        if let system { (message.has_system, message.system) = present(memory.bytes(system)) }
        message.n_turns = turns.count
        if !turns.isEmpty { message.turns = memory.array(turns.map { Self.message($0, memory) }) }
        message.has_top_k = topK == 0 ? 0 : 1
        message.top_k = UInt32(topK)
        message.has_top_p = topP == 1 ? 0 : 1
        message.top_p = topP
        message.has_min_p = minP == 0 ? 0 : 1
        message.min_p = minP
        message.has_repetition_penalty = repetitionPenalty == 1 ? 0 : 1
        message.repetition_penalty = repetitionPenalty
        message.has_presence_penalty = presencePenalty == 0 ? 0 : 1
        message.presence_penalty = presencePenalty
        message.has_frequency_penalty = frequencyPenalty == 0 ? 0 : 1
        message.frequency_penalty = frequencyPenalty
        message.n_stop = stop.count
        if !stop.isEmpty { message.stop = memory.array(stop.map { TextKey($0) }) }
    }

    private static func message(_ turn: Turn, _ memory: MessageMemory) -> Userllm__Question__Turn {
        var message = Userllm__Question__Turn()
        userllm__question__turn__init(&message)
        (message.has_role, message.role) = present(turn.role.wireValue)
        (message.has_text, message.text) = present(memory.bytes(turn.text))
        return message
    }

    init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "Question", userllm__question__unpack)
        defer { userllm__question__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        guard let form = AnswerForm.allCases.first(where: { $0.wireValue == message.form }) else {
            throw MessageError(field: "form", reason: "\(message.form.rawValue) is not known: send 0 to 4")
        }
        // Before they are copied: a record may hold half a million of them.
        try Self.validate(turnCount: message.n_turns, stopCount: message.n_stop)
        self.init(
            id: try message.id.id("id"),
            user: try message.user.id("user"),
            text: try message.text.text("text"),
            system: message.has_system != 0 ? try message.system.text("system") : nil,
            turns: try Self.turns(message),
            form: form,
            itemCount: message.has_item_count != 0 ? Int(message.item_count) : 10,
            maximumTokens: message.has_maximum_tokens != 0 ? Int(message.maximum_tokens) : 32,
            temperature: message.temperature,
            seed: message.seed,
            topK: Int(message.top_k),
            topP: message.has_top_p != 0 ? message.top_p : 1,
            minP: message.min_p,
            repetitionPenalty: message.has_repetition_penalty != 0 ? message.repetition_penalty : 1,
            presencePenalty: message.presence_penalty,
            frequencyPenalty: message.frequency_penalty,
            stop: try texts(message.stop, message.n_stop, "stop"),
            includesSeen: message.include_seen != 0,
            minimumEventCount: message.minimum_event_count,
            askedAt: message.asked_at,
            deadline: message.deadline
        )
    }

    private static func turns(_ message: Userllm__Question) throws(MessageError) -> [Turn] {
        var turns: [Turn] = []
        for index in 0..<message.n_turns {
            guard let turn = message.turns[index]?.pointee else { continue }
            guard let role = Turn.Role.allCases.first(where: { $0.wireValue == turn.role }) else {
                throw MessageError(
                    field: "turns[\(index)].role",
                    reason: "\(turn.role.rawValue) is not known: send 1 (user) or 2 (assistant)"
                )
            }
            turns.append(Turn(role: role, text: try turn.text.text("turns[\(index)].text")))
        }
        return turns
    }
}

extension Question.AnswerForm {
    fileprivate var wireValue: Userllm__Question__AnswerForm {
        switch self {
        case .known: USERLLM__QUESTION__ANSWER_FORM__KNOWN
        case .title: USERLLM__QUESTION__ANSWER_FORM__TITLE
        case .category: USERLLM__QUESTION__ANSWER_FORM__CATEGORY
        case .text: USERLLM__QUESTION__ANSWER_FORM__TEXT
        case .textWithTitles: USERLLM__QUESTION__ANSWER_FORM__TEXT_WITH_TITLES
        }
    }
}

extension Question.Turn.Role {
    fileprivate var wireValue: Userllm__Question__Turn__Role {
        switch self {
        case .user: USERLLM__QUESTION__TURN__ROLE__USER
        case .assistant: USERLLM__QUESTION__TURN__ROLE__ASSISTANT
        }
    }
}
