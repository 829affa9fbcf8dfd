/// How the next token is chosen from the logits.
///
/// Order and meaning are the field's (vLLM, llama.cpp, Hugging Face):
/// 1. Penalties for tokens that occurred. `repetitionPenalty` counts prompt and answer: a positive logit is divided by
///    it, a negative one multiplied (CTRL, arXiv 1909.05858). `presencePenalty` and `frequencyPenalty` count the answer
///    alone: once per token that occurred, and once per occurrence, are subtracted (OpenAI).
/// 2. `logitBias` is added.
/// 3. Logits are divided by `temperature`; 0 takes the greatest one, of equal ones the lowest token, and ends here.
/// 4. `topK` keeps the greatest ones.
/// 5. `topP` keeps the fewest of the likeliest whose probabilities, among those that `topK` kept, reach it.
/// 6. `minP` removes those less likely than this share of the likeliest one's probability.
/// 7. One is drawn by its probability among the kept ones.
public struct SamplingParameters: Sendable, Equatable {
    /// Divides the logits, at least 0; 0 is greedy.
    public var temperature: Float = 0
    /// Number of tokens kept; 0 keeps all.
    public var topK = 0
    /// Probability kept, above 0 to 1; 1 keeps all.
    public var topP: Float = 1
    /// Share of the greatest probability that a kept token has at least, from 0 to 1; 0 keeps all.
    public var minP: Float = 0
    /// Divisor of the logits of tokens that occurred in prompt or answer, above 0; 1 does nothing.
    public var repetitionPenalty: Float = 1
    /// Subtracted from the logits of tokens that occurred in the answer.
    public var presencePenalty: Float = 0
    /// Subtracted from a token's logit for each of its occurrences in the answer.
    public var frequencyPenalty: Float = 0
    /// Added to the logits of these tokens; minus infinity forbids one.
    public var logitBias: [Int32: Float] = [:]
    /// Seed of the draws: equal requests with equal seeds get equal texts.
    public var seed: UInt64 = 0

    /// Greedy sampling without penalties.
    public init() {}

    /// Whether logits are used as they come from the model.
    var leavesLogits: Bool {
        repetitionPenalty == 1 && presencePenalty == 0 && frequencyPenalty == 0 && logitBias.isEmpty
    }

    /// Checks every value.
    ///
    /// - Parameter vocabulary: number of tokens.
    /// - Throws: `EngineError.invalid` naming the field.
    func validate(vocabulary: Int) throws(EngineError) {
        let greatest: Float = 1e6
        try check("temperature", temperature, (0...greatest).contains(temperature), "a number from 0 to \(greatest)")
        try check("top_k", topK, topK >= 0, "at least 0")
        try check("top_p", topP, topP > 0 && topP <= 1, "above 0, to 1")
        try check("min_p", minP, minP >= 0 && minP <= 1, "from 0 to 1")
        let isDivisor = repetitionPenalty > 0 && repetitionPenalty <= greatest
        try check("repetition_penalty", repetitionPenalty, isDivisor, "above 0, to \(greatest)")
        let range = -greatest...greatest
        try check("presence_penalty", presencePenalty, range.contains(presencePenalty), "a number in \(range)")
        try check("frequency_penalty", frequencyPenalty, range.contains(frequencyPenalty), "a number in \(range)")
        try check("logit_bias", logitBias.count, logitBias.count <= vocabulary, "at most \(vocabulary) tokens")
        for (token, bias) in logitBias {
            try check("logit_bias", token, token >= 0 && Int(token) < vocabulary, "a token below \(vocabulary)")
            let isBias = range.contains(bias) || bias == -.infinity
            try check("logit_bias[\(token)]", bias, isBias, "a number in \(range), or minus infinity")
        }
    }
}
