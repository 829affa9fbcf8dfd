import LanguageEngine
public import Messages
import ModelFiles

extension TextPromptEngine {
    /// A question whose answer is free text.
    public struct TextQuestion: Sendable {
        /// The timeline, oldest first; as many of the latest events as fit are read.
        public var events: [TimelineEvent]
        /// The question, which stands in a line after the list.
        public var text: String

        /// Makes a question.
        public init(_ events: [TimelineEvent], asking text: String) { (self.events, self.text) = (events, text) }
    }

    /// Answers questions with the likeliest text, token by token, all of them at once as far as the engine has room.
    ///
    /// - Parameters:
    ///   - questions: the questions.
    ///   - limit: the most tokens of an answer, at least 1.
    /// - Returns: the texts, in the order of the questions.
    /// - Throws: as `answers(to:)`.
    public func texts(to questions: [TextQuestion], maximumTokens limit: Int) throws -> [String] {
        var asked: [SequenceID: Int] = [:]
        for (index, question) in questions.enumerated() {
            let prompt = try text.prompt(question.events, asking: question.text, tokens: context - limit)
            var request = SequenceRequest(tokens: prompt.tokens)
            request.maximumTokens = limit
            request.stopTokens = text.format.endTokens
            for token in text.format.unwritable { request.sampling.logitBias[token] = -.infinity }
            asked[try engine.submit(request)] = index
        }
        var found = [[Int32]](repeating: [], count: questions.count)
        while !asked.isEmpty {
            for event in try engine.step() {
                guard let index = asked[event.id] else { continue }
                switch event {
                case .token(_, let generated): found[index].append(generated.token)
                case .text, .passage: break
                case .finished(let id, let end):
                    asked[id] = nil
                    try requireEnd(end.reason)
                }
            }
        }
        return found.map { text.format.text($0) }
    }

    /// Refuses an answer that was not finished.
    func requireEnd(_ reason: FinishReason) throws(AnswerError) {
        switch reason {
        case .stop, .length: break
        case .failed(let reason): throw .failed(reason)
        case .deadline, .cancelled: throw .cancelled
        }
    }
}
