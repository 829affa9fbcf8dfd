import ChatTemplates
import Messages
public import ModelFiles
public import Tokenization

/// How a question and its answer look to the language model.
///
/// Our own small models have marks for it:
/// ```
/// <|question|>What will the user watch next?<|answer|>Alien (1979)<|end|>
/// ```
/// A chat model has its template. The question is the user's turn and the answer the assistant's, also for an answer from
/// the catalogue: the title as it is, closed by the token that ends a turn.
public struct PromptFormat: Sendable {
    /// Precedes a question.
    public static let questionMark = "<|question|>"
    /// Separates a question from its answer.
    public static let answerMark = "<|answer|>"
    /// Ends an answer.
    public static let endMark = "<|end|>"
    /// Pads the shorter texts of a batch.
    public static let padMark = "<|pad|>"
    /// The special tokens a tokenizer is trained with, in the order of their ids.
    public static let specialTokens = [padMark, questionMark, answerMark, endMark]

    /// What opens and closes a title in a text with titles.
    static let titleMarks = (opening: "<title>", closing: "</title>")

    private enum Style: Sendable {
        case marked(question: Int32, answer: Int32)
        case chat(ChatTemplate)
    }

    /// The tokenizer, whose vocabulary includes the markers.
    public let tokenizer: Tokenizer
    /// The token that ends an answer from the catalogue.
    public let end: Int32
    /// The tokens that end a text, `end` among them.
    public let endTokens: Set<Int32>
    /// The token used for padding.
    public let pad: Int32
    /// Markers that must not appear in a text answer.
    let unwritable: Set<Int32>
    private let style: Style

    /// Looks up the markers of our own models in a tokenizer.
    ///
    /// - Throws: `ModelConfigurationError` naming a marker that the tokenizer does not have.
    public init(tokenizer: Tokenizer) throws(ModelConfigurationError) {
        func id(_ mark: String) throws(ModelConfigurationError) -> Int32 {
            guard let id = tokenizer.id(of: mark) else {
                throw ModelConfigurationError(
                    key: "tokenizer.json added_tokens",
                    value: "without \(mark)",
                    expected: "a tokenizer trained with the special tokens \(Self.specialTokens), or a chat template"
                )
            }
            return id
        }
        self.tokenizer = tokenizer
        end = try id(Self.endMark)
        pad = try id(Self.padMark)
        let (question, answer) = (try id(Self.questionMark), try id(Self.answerMark))
        endTokens = [end]
        unwritable = [pad, question, answer]
        style = .marked(question: question, answer: answer)
    }

    /// Takes the format of a language model's files: its chat template, or the markers of our own models.
    ///
    /// - Parameters:
    ///   - tokenizer: the tokenizer of the files.
    ///   - text: what the files say about text.
    ///   - name: the name of a chat template to use in place of the files' own; nil for that.
    /// - Throws: `ChatTemplateError` naming a template that is not known, or a mark at the beginning or the end of a turn that
    ///   the tokenizer does not have; `ModelConfigurationError` naming a marker that it does not have.
    package init(tokenizer: Tokenizer, text: LanguageModelText, template name: String?) throws {
        var template: ChatTemplate
        if let name {
            template = try ChatTemplate(named: name)
        } else if let source = text.chatTemplate {
            template = try ChatTemplate.recognised(in: source)
        } else if !text.namedChatTemplates.isEmpty {
            throw ChatTemplateError.noDefault(names: text.namedChatTemplates)
        } else {
            try self.init(tokenizer: tokenizer)
            return
        }
        if let mark = text.beginMark { template.beginningOfText = mark }
        if let mark = text.endMark { template.endOfText = mark }
        try self.init(tokenizer: tokenizer, template, endIDs: text.endIDs)
    }

    private init(
        tokenizer: Tokenizer,
        _ template: ChatTemplate,
        endIDs: [Int32]
    ) throws(ChatTemplateError) {
        let ends = try template.endTokens(in: tokenizer)
        try template.checkBeginToken(in: tokenizer)
        self.tokenizer = tokenizer
        // The first one ends a turn; there is always one.
        end = ends.first ?? 0
        endTokens = Set(ends + endIDs)
        pad = end
        unwritable = []
        style = .chat(template)
    }

    /// Whether the language model is a chat model, which takes a system prompt and earlier turns.
    public var isChat: Bool {
        if case .chat = style { true } else { false }
    }

    /// What precedes the conversation of a text with titles: it shows a chat model how a title is written.
    ///
    /// A small model does not do what it is told in words, and does what it sees once. Our own models know nothing but
    /// what they were trained on.
    var titleExample: [Question.Turn] {
        guard isChat else { return [] }
        let title = "\(Self.titleMarks.opening)Title\(Self.titleMarks.closing)"
        return [
            Question.Turn(role: .user, text: "What do you recommend?"),
            Question.Turn(
                role: .assistant,
                text: "You might enjoy \(title), because it is like what you have enjoyed."
            ),
        ]
    }

    /// Tokens of a question up to the start of its answer, asked now.
    ///
    /// - Parameter text: the question; of a chat model one that its template takes, as it does all but those which contain
    ///   a mark that the tokenizer has no token for.
    /// - Returns: tokens, at least one.
    public func prompt(_ text: String) -> [Int32] {
        do {
            return try prompt(system: nil, turns: [], text: text, askedAt: WallClock.milliseconds)
        } catch {
            preconditionFailure("a question that the chat template does not take: \(error)")
        }
    }

    /// Tokens of a conversation up to the start of its answer.
    ///
    /// A model that thinks before it answers is told not to: thoughts would take the answer's tokens, and nobody reads them.
    ///
    /// - Parameters:
    ///   - system: what a chat model is told first; nil for the template's own default.
    ///   - turns: the conversation before the question, oldest first; for chat models.
    ///   - text: the question.
    ///   - askedAt: when it was asked, in milliseconds since 1970: some templates tell the day, which is UTC's here.
    /// - Returns: tokens, at least one.
    /// - Throws: `AnswerError.invalid` for a conversation that the template does not take, or a time of no day.
    func prompt(
        system: String?,
        turns: [Question.Turn],
        text: String,
        askedAt: Int64
    ) throws(AnswerError) -> [Int32] {
        switch style {
        case .marked(let question, let answer): return [question] + plain(text) + [answer]
        case .chat(let template):
            var messages = system.map { [ChatMessage(.system, $0)] } ?? []
            messages += turns.map { ChatMessage($0.role == .user ? .user : .assistant, $0.text) }
            messages.append(ChatMessage(.user, text))
            do throws(ChatTemplateError) {
                let today = try ChatDate(millisecondsSince1970: askedAt)
                let pieces = try template.render(messages, addGenerationPrompt: true, today: today, thinks: false)
                return try template.encode(pieces, with: tokenizer)
            } catch .noDate(let text) {
                throw .invalid(field: "askedAt", value: text, expected: "a time of the years 1 to 9999")
            } catch {
                let value = "a conversation of \(messages.count) messages"
                throw .invalid(field: "turns", value: value, expected: "one that the model takes: \(error)")
            }
        }
    }

    /// Tokens of an answer, without the end token.
    public func answer(_ text: String) -> [Int32] { plain(text) }

    /// The text of an answer's tokens, without the end token.
    public func text(_ tokens: some Sequence<Int32>) -> String { tokenizer.decode(tokens.filter { $0 != end }) }

    /// Tokens of user input.
    ///
    /// Markers in it are encoded as plain text, so that a question cannot end itself.
    private func plain(_ text: String) -> [Int32] { tokenizer.encode(text, matchesAddedTokens: false) }
}
