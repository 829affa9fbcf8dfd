internal import JSON

/// Why a conversation could not be rendered or encoded.
public enum ChatTemplateError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A model's template is none of those known here; with how it begins.
    case unknownTemplate(beginning: String)
    /// A model has several templates and none that is the default; their names.
    case noDefault(names: [String])
    /// No template has this name.
    case unknownName(String)
    /// The template refuses the messages: which one, counted from 0, and why.
    case refused(template: String, message: Int, reason: String)
    /// There are no messages.
    case empty
    /// There is more to render than the limit: what, how much, and the limit.
    case tooLong(what: String, count: Int, limit: Int)
    /// These are no numbers of a day.
    case noDate(String)
    /// A message contains a mark of the template that the tokenizer cannot tell from text.
    case markInText(mark: String, template: String)
    /// The tokenizer has no token for the mark that begins a conversation.
    case noBeginToken(mark: String, template: String)
    /// The tokenizer has no token for the mark that ends a turn.
    case noEndToken(mark: String, template: String)

    /// What failed, on what, and what would be valid.
    public var description: String {
        let names = ChatTemplate.names.joined(separator: ", ")
        return switch self {
        case .unknownTemplate(let beginning):
            """
            the model's chat template, which begins with \(JSONError.shown(beginning)), is none of those known here; \
            --chat-template NAME names the one to use: \(names)
            """
        case .noDefault(let found):
            """
            the model has the chat templates \(found.prefix(10).map(JSONError.shown).joined(separator: ", ")), none of \
            which is the default; --chat-template NAME names the form to use: \(names)
            """
        case .unknownName(let name): "there is no chat template \(JSONError.shown(name)); there are \(names)"
        case .refused(let template, let message, let reason):
            "chat template \(template): messages[\(message)] \(reason)"
        case .empty: "a conversation has at least one message"
        case .tooLong(let what, let count, let limit): "there are \(count) \(what), at most \(limit) are taken"
        case .noDate(let text): "\(text) is no day of the years 1 to 9999"
        case .markInText(let mark, let template):
            """
            a message contains \(JSONError.shown(mark)), which divides turns in chat template \(template) and which \
            the tokenizer, without a token for it, cannot tell from text: take it out of the message
            """
        case .noBeginToken(let mark, let template):
            """
            the tokenizer has no added token \(JSONError.shown(mark)), with which chat template \(template) begins: the \
            model's bos_token names the one to use, or another template can be chosen with --chat-template NAME: \(names)
            """
        case .noEndToken(let mark, let template):
            """
            the tokenizer has no added token \(JSONError.shown(mark)), which ends a turn in chat template \(template); \
            another template can be chosen with --chat-template NAME: \(names)
            """
        }
    }
}
