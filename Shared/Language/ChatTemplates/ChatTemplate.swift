/// How a conversation is written for a model: one of a closed set of published templates.
///
/// Templates are Jinja programs inside a model's files. They are not run here: a model's template is recognised, and a
/// conversation is rendered as `transformers`' `apply_chat_template` renders it with that template.
public struct ChatTemplate: Sendable, Equatable {
    /// What a template writes.
    enum Form: Sendable, Equatable {
        /// `<|im_start|>ROLE\n...<|im_end|>\n`; with a system message of its own when the first message is none.
        case chatML(system: String?)
        /// ChatML that drops the thoughts of earlier turns and can open an answer with an empty thought.
        case qwen3
        /// `<|start_header_id|>ROLE<|end_header_id|>\n\n...<|eot_id|>`.
        case llama3
        /// The same with a system message always there, which tells dates, today's being always the same.
        case llama31
        /// The same with today's date.
        case llama32
        /// `<|ROLE|>\n...</s>\n`.
        case zephyr
        /// `<start_of_turn>ROLE\n...<end_of_turn>\n` without a system message.
        case gemma
        /// The same with the system message in front of the first user's.
        case gemma3
        /// `<|ROLE|>\n...<|end|>\n`.
        case phi3(skipsEmptySystem: Bool)
        /// `<|ROLE|>...<|end|>`.
        case phi4Mini
    }

    /// The forms by name, in the order in which an error lists them.
    static let known: [(name: String, form: Form)] = [
        ("chatml", .chatML(system: nil)),
        ("smollm2", .chatML(system: "You are a helpful AI assistant named SmolLM, trained by Hugging Face")),
        ("qwen2", .chatML(system: "You are a helpful assistant.")),
        (
            "qwen2.5",
            .chatML(system: "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
        ),
        ("qwen3", .qwen3), ("llama3", .llama3), ("llama3.1", .llama31), ("llama3.2", .llama32), ("zephyr", .zephyr),
        ("gemma", .gemma), ("gemma3", .gemma3), ("phi3", .phi3(skipsEmptySystem: false)),
        ("phi3.5", .phi3(skipsEmptySystem: true)), ("phi4-mini", .phi4Mini),
    ]

    /// The names of all templates.
    public static var names: [String] { known.map(\.name) }

    /// The template's name; `chatml` also where it has a system message of its own that no other name stands for.
    public let name: String
    let form: Form
    /// The mark that begins a text (`bos_token`), where the template writes it; the published models' by default.
    public var beginningOfText: String
    /// The mark that ends a text (`eos_token`), where the template writes it; the published models' by default.
    public var endOfText: String
    private let publishedEnd: String

    /// The template of a name.
    ///
    /// - Throws: `ChatTemplateError.unknownName`, which lists the names.
    public init(named name: String) throws(ChatTemplateError) {
        guard let known = Self.known.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
            throw .unknownName(name)
        }
        self.init(known.form)
    }

    init(_ form: Form) {
        self.form = form
        name = Self.known.first { $0.form == form }?.name ?? "chatml"
        switch form {
        case .chatML, .qwen3: (beginningOfText, endOfText) = ("", "<|endoftext|>")
        case .llama3, .llama31, .llama32: (beginningOfText, endOfText) = ("<|begin_of_text|>", "<|end_of_text|>")
        case .zephyr: (beginningOfText, endOfText) = ("<s>", "</s>")
        case .gemma, .gemma3: (beginningOfText, endOfText) = ("<bos>", "<eos>")
        case .phi3: (beginningOfText, endOfText) = ("<s>", "<|endoftext|>")
        case .phi4Mini: (beginningOfText, endOfText) = ("<|endoftext|>", "<|endoftext|>")
        }
        publishedEnd = endOfText
    }

    /// The mark that the template writes at the beginning of a conversation; nil where it writes none.
    var beginMark: String? {
        switch form {
        case .llama3, .llama31, .llama32, .gemma, .gemma3: beginningOfText.isEmpty ? nil : beginningOfText
        case .chatML, .qwen3, .zephyr, .phi3, .phi4Mini: nil
        }
    }

    /// The mark that ends a turn, and then further ones at which an answer ends: the model's own end of a text, which is
    /// often that of a turn, and the published models', which it may write all the same.
    var endMarks: [String] {
        switch form {
        case .chatML, .qwen3: ["<|im_end|>", endOfText, publishedEnd]
        case .llama3: ["<|eot_id|>", endOfText, publishedEnd]
        case .llama31, .llama32: ["<|eot_id|>", "<|eom_id|>", endOfText, publishedEnd]
        case .zephyr: [endOfText, publishedEnd]
        case .gemma, .gemma3: ["<end_of_turn>", endOfText, publishedEnd]
        case .phi3, .phi4Mini: ["<|end|>", endOfText, publishedEnd]
        }
    }

    /// The marks that divide turns: a message that could bring them in would be more than one turn.
    var turnMarks: [String] {
        switch form {
        case .chatML, .qwen3: ["<|im_start|>", "<|im_end|>"]
        case .llama3, .llama31, .llama32: ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
        case .zephyr: ["<|system|>", "<|user|>", "<|assistant|>", endOfText]
        case .gemma, .gemma3: ["<start_of_turn>", "<end_of_turn>"]
        case .phi3, .phi4Mini: ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
        }
    }
}
