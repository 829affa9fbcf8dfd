/// What belongs to a language model's text: tokenizer, chat template and special tokens, as the files have them.
public struct LanguageModelText: Sendable, Equatable {
    /// Where the tokenizer comes from.
    public enum Tokenizer: Sendable, Equatable {
        /// The path of a `tokenizer.json`.
        case file(String)
        /// The tokenizer inside a GGUF file.
        case gguf(GGUFTokenizerData)
    }

    /// The tokenizer; nil for a folder without `tokenizer.json`.
    public var tokenizer: Tokenizer?
    /// The text of the chat template (Jinja), from `tokenizer.chat_template`, `chat_template.jinja` or
    /// `tokenizer_config.json`; nil when there is none.
    public var chatTemplate: String?
    /// The names of the chat templates where the files have several, and none that is the default; empty otherwise.
    public var namedChatTemplates: [String] = []
    /// What a chat template writes for `bos_token`, from `tokenizer_config.json` or the token that a GGUF file names; empty
    /// where the files say that there is none, nil where they say nothing.
    public var beginMark: String?
    /// What a chat template writes for `eos_token`, from the same places; nil where the files name none.
    public var endMark: String?
    /// The token that begins a text, when the files name one.
    public var beginID: Int32?
    /// Tokens that end an answer, ascending, without repetition; from the model's configuration, `generation_config.json`
    /// and the GGUF file's tokenizer.
    public var endIDs: [Int32] = []

    /// Makes the text part of a model that names nothing.
    public init() {}
}
