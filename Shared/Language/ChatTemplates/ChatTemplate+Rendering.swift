extension ChatTemplate {
    /// Maximum number of messages, and of bytes in all of them together.
    static let (mostMessages, mostBytes) = (10_000, 16 << 20)

    /// Writes a conversation.
    ///
    /// The pieces' text together is what `transformers` renders. They tell the template's marks from what is only
    /// text, so that a message which contains `<|im_end|>` stays one message: see `Tokenizer.encode(_:_:)`.
    ///
    /// - Parameters:
    ///   - messages: the turns, at least one.
    ///   - addGenerationPrompt: whether the beginning of the assistant's next turn follows.
    ///   - today: the day of the question, for templates that ask the clock for it (`llama3.2`; `llama3.1` has always
    ///     the same).
    ///   - thinks: false opens the next turn with an empty thought, where the template can (`qwen3`).
    /// - Returns: the pieces; no two texts in a row.
    /// - Throws: `ChatTemplateError` for no messages, too many, too long ones, and roles in an order that the published
    ///   template refuses.
    public func render(
        _ messages: [ChatMessage],
        addGenerationPrompt: Bool,
        today: ChatDate,
        thinks: Bool = true
    ) throws(ChatTemplateError) -> [ChatPiece] {
        guard let first = messages.first else { throw .empty }
        guard messages.count <= Self.mostMessages else {
            throw .tooLong(what: "messages", count: messages.count, limit: Self.mostMessages)
        }
        let bytes = messages.reduce(0) { $0 + $1.content.utf8.count }
        guard bytes <= Self.mostBytes else {
            throw .tooLong(what: "bytes of messages", count: bytes, limit: Self.mostBytes)
        }
        var writer = PieceWriter()
        switch form {
        case .chatML(let system):
            if let system, first.role != .system { writer.chatML(.system, system) }
            for message in messages { writer.chatML(message.role, message.content) }
            if addGenerationPrompt { writer.write([.mark("<|im_start|>"), .text("assistant\n")]) }
        case .qwen3:
            qwen3(messages, &writer)
            if addGenerationPrompt {
                writer.write([.mark("<|im_start|>"), .text("assistant\n")])
                if !thinks { writer.write([.mark("<think>"), .text("\n\n"), .mark("</think>"), .text("\n\n")]) }
            }
        case .llama3, .llama31, .llama32:
            writer.write([.mark(beginningOfText)])
            let date = form == .llama31 ? .ofLlama31 : today
            let turns = form == .llama3 ? messages[...] : datedSystem(messages, date, &writer)
            for message in turns { writer.llama(message.role, message.content) }
            if addGenerationPrompt { writer.llamaHeader(.assistant) }
        case .zephyr:
            for message in messages {
                let mark = "<|\(message.role.rawValue)|>"
                writer.write([.mark(mark), .text("\n" + message.content), .mark(endOfText), .text("\n")])
            }
            if addGenerationPrompt { writer.write([.mark("<|assistant|>"), .text("\n")]) }
        case .gemma, .gemma3:
            try gemma(messages, &writer)
            if addGenerationPrompt { writer.write([.mark("<start_of_turn>"), .text("model\n")]) }
        case .phi3(let skipsEmptySystem):
            for message in messages {
                if skipsEmptySystem, message.role == .system, message.content.isEmpty { continue }
                let mark = "<|\(message.role.rawValue)|>"
                writer.write([.mark(mark), .text("\n" + message.content), .mark("<|end|>"), .text("\n")])
            }
            writer.write(addGenerationPrompt ? [.mark("<|assistant|>"), .text("\n")] : [.mark(endOfText)])
        case .phi4Mini:
            for message in messages {
                writer.write([.mark("<|\(message.role.rawValue)|>"), .text(message.content), .mark("<|end|>")])
            }
            writer.write([.mark(addGenerationPrompt ? "<|assistant|>" : endOfText)])
        }
        return writer.pieces
    }

    /// Writes the system message with its dates, and returns the other messages.
    private func datedSystem(
        _ messages: [ChatMessage],
        _ date: ChatDate,
        _ writer: inout PieceWriter
    ) -> ArraySlice<ChatMessage> {
        let hasSystem = messages[0].role == .system
        writer.llamaHeader(.system)
        let dates = "Cutting Knowledge Date: December 2023\nToday Date: \(date.text)\n\n"
        writer.write([
            .text(dates + (hasSystem ? Trimming.whiteSpace(messages[0].content) : "")), .mark("<|eot_id|>"),
        ])
        return hasSystem ? messages.dropFirst() : messages[...]
    }

    private func gemma(_ messages: [ChatMessage], _ writer: inout PieceWriter) throws(ChatTemplateError) {
        var turns = messages[...]
        var prefix = ""
        if messages[0].role == .system {
            guard form == .gemma3 else {
                throw .refused(template: name, message: 0, reason: "is a system message, which it does not take")
            }
            prefix = messages[0].content + "\n\n"
            turns = messages.dropFirst()
        }
        writer.write([.mark(beginningOfText)])
        for (index, message) in turns.enumerated() {
            guard (message.role == .user) == (index % 2 == 0) else {
                throw .refused(
                    template: name,
                    message: turns.startIndex + index,
                    reason: "is of role \(message.role.rawValue), but user and assistant must alternate, user first"
                )
            }
            let role = message.role == .assistant ? "model" : message.role.rawValue
            let text = "\(role)\n" + (index == 0 ? prefix : "") + Trimming.whiteSpace(message.content)
            writer.write([.mark("<start_of_turn>"), .text(text), .mark("<end_of_turn>"), .text("\n")])
        }
    }

    /// Thoughts are kept in the turns after the last question only.
    private func qwen3(_ messages: [ChatMessage], _ writer: inout PieceWriter) {
        let lastQuestion =
            messages.lastIndex { message in
                let isToolResponse =
                    Trimming.starts(message.content, with: "<tool_response>")
                    && Trimming.ends(message.content, with: "</tool_response>")
                return message.role == .user && !isToolResponse
            } ?? messages.count - 1
        for (index, message) in messages.enumerated() {
            guard message.role == .assistant else {
                writer.chatML(message.role, message.content)
                continue
            }
            let (thought, answer) = Trimming.thought(in: message.content)
            writer.write([.mark("<|im_start|>"), .text("assistant\n")])
            if index > lastQuestion, index == messages.count - 1 || !thought.isEmpty {
                writer.write([
                    .mark("<think>"), .text("\n" + Trimming.newlines(thought) + "\n"), .mark("</think>"),
                    .text("\n\n" + Trimming.leadingNewlines(answer)),
                ])
            } else {
                writer.write([.text(answer)])
            }
            writer.write([.mark("<|im_end|>"), .text("\n")])
        }
    }
}

/// Collects pieces; texts in a row become one, so that they are encoded as one.
private struct PieceWriter {
    private(set) var pieces: [ChatPiece] = []

    mutating func write(_ added: [ChatPiece]) {
        for piece in added where !piece.text.isEmpty {
            if case .text(let text) = piece, case .text(let last)? = pieces.last {
                pieces[pieces.count - 1] = .text(last + text)
            } else {
                pieces.append(piece)
            }
        }
    }

    mutating func chatML(_ role: ChatRole, _ content: String) {
        write([.mark("<|im_start|>"), .text("\(role.rawValue)\n" + content), .mark("<|im_end|>"), .text("\n")])
    }

    mutating func llamaHeader(_ role: ChatRole) {
        write([.mark("<|start_header_id|>"), .text(role.rawValue), .mark("<|end_header_id|>"), .text("\n\n")])
    }

    mutating func llama(_ role: ChatRole, _ content: String) {
        llamaHeader(role)
        write([.text(Trimming.whiteSpace(content)), .mark("<|eot_id|>")])
    }
}
