import CMessages
internal import Bytes
internal import JSON

extension AnswerToken: WireRecord {
    /// The piece as Protocol Buffers (`answer.proto`).
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        let memory = MessageMemory()
        var message = Userllm__AnswerToken()
        userllm__answer_token__init(&message)
        message.has_question_id = 1
        message.question_id = memory.bytes(questionID)
        message.has_position = 1
        message.position = position
        message.has_text = 1
        message.text = memory.bytes(text)
        return packed(message, memory)
    }

    /// The piece as JSON.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(AnswerTokenJSON(questionID: questionID, position: position, text: text))
    }

    /// Reads a piece of an answer.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        switch try ContentType(header: contentType, value: bytes) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json:
            self = try decodedJSON(bytes) { scanner throws(JSONError) in try AnswerToken(&scanner) }
        }
        try validate()
    }

    private init(protobuf bytes: [UInt8]) throws(MessageError) {
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

/// A piece's JSON form.
private struct AnswerTokenJSON: Encodable {
    let questionID: QuestionID
    let position: UInt32
    let text: String

    enum CodingKeys: String, CodingKey {
        case position, text
        case questionID = "question_id"
    }

    init(questionID: QuestionID, position: UInt32, text: String) {
        self.questionID = questionID
        self.position = position
        self.text = text
    }
}

extension AnswerToken {
    private enum Field: Int { case questionID, position, text }
    /// In the order of `Field`.
    private static let fields = FieldNames(of: "a piece of an answer", [["question_id"], ["position"], ["text"]])

    private init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (questionID, position, text): (QuestionID?, UInt32?, String?)
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .questionID: questionID = try scanner.identifier()
            case .position: position = try scanner.integer()
            case .text: text = try scanner.string()
            case nil: break
            }
        }
        self.init(
            questionID: try required(questionID, "question_id", "a string"),
            position: try required(position, "position", "a whole number from 0"),
            text: try required(text, "text", "a string")
        )
    }
}
