/// The tokenizer in the metadata of a GGUF file, as far as tokens are made by it.
///
/// Plain values, so that reading the file needs to know nothing of tokenizers.
public struct GGUFVocabulary: Sendable {
    /// `tokenizer.ggml.model`.
    public var model: String
    /// `tokenizer.ggml.pre`; nil when the file has none.
    public var preTokenizer: String?
    /// `tokenizer.ggml.tokens`: the text of each id, in GPT-2's characters for bytes.
    public var tokens: [String]
    /// `tokenizer.ggml.token_type` of each id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    public var types: [Int32]
    /// `tokenizer.ggml.merges`: two tokens with a space between them, in order of rank.
    public var merges: [String]
    /// `tokenizer.ggml.bos_token_id`.
    public var beginID: Int32?
    /// `tokenizer.ggml.eos_token_id`.
    public var endID: Int32?
    /// `tokenizer.ggml.add_bos_token`; nil when the file has none.
    public var addsBegin: Bool?
    /// `tokenizer.ggml.add_eos_token`; nil when the file has none.
    public var addsEnd: Bool?
    /// `tokenizer.ggml.add_space_prefix`; nil when the file has none.
    public var addsSpacePrefix: Bool?

    /// Collects the values.
    public init(
        model: String,
        preTokenizer: String?,
        tokens: [String],
        types: [Int32],
        merges: [String],
        beginID: Int32? = nil,
        endID: Int32? = nil,
        addsBegin: Bool? = nil,
        addsEnd: Bool? = nil,
        addsSpacePrefix: Bool? = nil
    ) {
        self.model = model
        self.preTokenizer = preTokenizer
        self.tokens = tokens
        self.types = types
        self.merges = merges
        self.beginID = beginID
        self.endID = endID
        self.addsBegin = addsBegin
        self.addsEnd = addsEnd
        self.addsSpacePrefix = addsSpacePrefix
    }
}
