/// The tokenizer inside a GGUF file, as plain values: what its `tokenizer.ggml.*` keys say, unjudged.
///
/// Sizes are bounded and ids are checked against the number of tokens; whether a `model` or `preTokenizer` is supported is
/// for whoever makes a tokenizer of it.
///
/// - Source: ggml-org/ggml, `docs/gguf.md`, "Tokenizer"; ggml-org/llama.cpp, `src/llama-vocab.cpp`.
public struct GGUFTokenizerData: Sendable, Equatable {
    /// What a token is for.
    public enum TokenType: Int32, Sendable {
        /// Text of the vocabulary.
        case normal = 1
        /// Stands for what the vocabulary does not know.
        case unknown = 2
        /// Steers the model, such as `<|im_end|>`: not part of the text.
        case control = 3
        /// Added by a user: matched in the text before anything else, and part of it.
        case userDefined = 4
        /// Never used.
        case unused = 5
        /// One byte.
        case byte = 6
    }

    /// `tokenizer.ggml.model`: `gpt2` for byte-level BPE.
    public var model: String
    /// `tokenizer.ggml.pre`: how text is split before merging, such as `smollm`, `llama-bpe` or `qwen2`; nil when absent.
    public var preTokenizer: String?
    /// `tokenizer.ggml.tokens`: the text of each token by id, in GPT-2's byte alphabet for byte-level BPE.
    public var tokens: [String]
    /// `tokenizer.ggml.token_type`: one for each token; all `normal` when the key is absent.
    public var types: [TokenType]
    /// `tokenizer.ggml.merges`: in order of rank, the two parts separated by one space; empty when absent, which is an error
    /// for the model `gpt2`.
    public var merges: [String]
    /// `tokenizer.ggml.bos_token_id`.
    public var beginID: Int32?
    /// `tokenizer.ggml.eos_token_id`.
    public var endID: Int32?
    /// `tokenizer.ggml.eot_token_id`: ends a turn.
    public var endOfTurnID: Int32?
    /// `tokenizer.ggml.unknown_token_id`.
    public var unknownID: Int32?
    /// `tokenizer.ggml.padding_token_id`.
    public var paddingID: Int32?
    /// `tokenizer.ggml.add_bos_token`: whether a text begins with `beginID`; nil when absent.
    public var addsBegin: Bool?
    /// `tokenizer.ggml.add_eos_token`: whether a text ends with `endID`; nil when absent.
    public var addsEnd: Bool?
    /// `tokenizer.ggml.add_space_prefix`: whether a text begins with a space; nil when absent.
    public var addsSpacePrefix: Bool?

    /// Makes tokenizer data of tokens, types and merges, without special ids.
    public init(
        model: String,
        preTokenizer: String?,
        tokens: [String],
        types: [TokenType],
        merges: [String]
    ) {
        self.model = model
        self.preTokenizer = preTokenizer
        self.tokens = tokens
        self.types = types
        self.merges = merges
    }
}
