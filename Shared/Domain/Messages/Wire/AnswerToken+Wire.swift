import CMessages
internal import Bytes
internal import JSON

extension AnswerToken: RecordCoding {
    /// The piece as Protocol Buffers (`answer.proto`).
    func packedUnchecked() -> [UInt8] {
        let memory = MessageMemory()
        var message = Userllm__AnswerToken()
        userllm__answer_token__init(&message)
        (message.has_question_id, message.question_id) = present(memory.bytes(questionID))
        (message.has_position, message.position) = present(position)
        (message.has_text, message.text) = present(memory.bytes(text))
        return packed(message, memory)
    }

    init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "AnswerToken", userllm__answer_token__unpack)
        defer { userllm__answer_token__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        self.init(
            questionID: try message.question_id.id("question_id"),
            position: message.position,
            text: try message.text.text("text")
        )
    }

    /// Checks sizes.
    public func validate() throws(MessageError) {
        try Check.identifier(questionID, "question_id")
        try Check.text(text, "text", limit: Limits.textByteCount)
    }
}

extension AnswerToken {
    enum Field: String, ObjectField {
        static let object = "a piece of an answer"

        case questionID = "question_id"
        case position, text
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(questionID, forKey: .questionID)
        try json.encode(position, forKey: .position)
        try json.encode(text, forKey: .text)
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (questionID, position, text): (QuestionID?, UInt32?, String?)
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .questionID: questionID = try scanner.identifier()
            case .position: position = try scanner.integer()
            case .text: text = try scanner.string()
            }
        }
        self.init(
            questionID: try Field.questionID.required(questionID, "a string"),
            position: try Field.position.required(position, "a whole number from 0"),
            text: try Field.text.required(text, "a string")
        )
    }
}
