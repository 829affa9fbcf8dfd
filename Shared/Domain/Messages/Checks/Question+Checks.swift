import Bytes

extension Question {
    /// Checks sizes and ranges, and that what only free text takes comes with a form of that.
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
        try validateConversation()
        try validateSampling()
        try validateForm()
    }

    /// Checks how many parts a question has.
    static func validate(turnCount: Int, stopCount: Int) throws(MessageError) {
        guard turnCount <= Limits.turnCount else {
            throw MessageError(
                field: Field.turns.rawValue,
                reason: "has \(turnCount) entries: send the last \(Limits.turnCount) at most"
            )
        }
        guard stopCount <= Limits.stopCount else {
            throw MessageError(
                field: Field.stop.rawValue,
                reason: "has \(stopCount) entries: send at most \(Limits.stopCount)"
            )
        }
    }

    private func validateConversation() throws(MessageError) {
        try Self.validate(turnCount: turns.count, stopCount: stop.count)
        if let system { try Check.text(system, Field.system.rawValue, limit: Limits.textByteCount) }
        for (index, turn) in turns.enumerated() {
            try Check.text(turn.text, "\(Field.turns.rawValue)[\(index)].text", limit: Limits.textByteCount)
        }
        let byteCount = conversationByteCount
        guard byteCount <= Limits.conversationByteCount else {
            let limit = "send at most \(Limits.conversationByteCount) in all"
            throw turns.isEmpty
                ? MessageError(
                    field: Field.system.rawValue,
                    reason: "makes \(byteCount) bytes together with the text: \(limit), with a shorter prompt"
                )
                : MessageError(
                    field: Field.turns.rawValue,
                    reason: "make \(byteCount) bytes together with the system prompt and the text: \(limit), "
                        + "without the oldest turns"
                )
        }
    }

    private func validateSampling() throws(MessageError) {
        try Check.range(topK, 0...Limits.topK, Field.topK.rawValue)
        guard topP > 0, topP <= 1 else {
            throw MessageError(
                field: Field.topP.rawValue,
                reason: "\(topP) is out of range: send a number above 0, at most 1"
            )
        }
        try Check.range(minP, 0...1, Field.minP.rawValue)
        try Check.range(repetitionPenalty, 0.01...100, Field.repetitionPenalty.rawValue)
        try Check.range(presencePenalty, -2...2, Field.presencePenalty.rawValue)
        try Check.range(frequencyPenalty, -2...2, Field.frequencyPenalty.rawValue)
        for (index, text) in stop.enumerated() {
            let field = "\(Field.stop.rawValue)[\(index)]"
            guard !text.isEmpty else { throw MessageError(field: field, reason: "is empty: leave it out") }
            try Check.text(text, field, limit: Limits.stopByteCount)
        }
    }

    private func validateForm() throws(MessageError) {
        guard !form.isText else { return }
        for field in Self.chatFields {
            guard let value = valueShown(of: field) else { continue }
            throw MessageError(
                field: field.rawValue,
                reason: "\(value) is for free text, and form is \(form.rawValue): send the form text, or leave it out"
            )
        }
    }

    /// The value of a field that needs free text, as an error shows it; nil when it changes nothing, and for
    /// fields that answers of every form have.
    private func valueShown(of field: Field) -> String? {
        switch field {
        case .id, .user, .text, .form, .itemCount, .maximumTokens, .temperature, .seed: nil
        case .includesSeen, .minimumEventCount, .askedAt, .deadline, .system, .turns: nil
        case .topK: topK == 0 ? nil : "\(topK)"
        case .topP: topP == 1 ? nil : "\(topP)"
        case .minP: minP == 0 ? nil : "\(minP)"
        case .repetitionPenalty: repetitionPenalty == 1 ? nil : "\(repetitionPenalty)"
        case .presencePenalty: presencePenalty == 0 ? nil : "\(presencePenalty)"
        case .frequencyPenalty: frequencyPenalty == 0 ? nil : "\(frequencyPenalty)"
        case .stop: stop.isEmpty ? nil : stop.map { quoted($0) }.joined(separator: ", ")
        }
    }
}
