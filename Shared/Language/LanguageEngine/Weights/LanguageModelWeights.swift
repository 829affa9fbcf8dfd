import CLanguageKernels
public import ModelFiles

/// A language model's weights, packed for inference: the Llama family with its biases (Qwen2) and norms (Qwen3).
///
/// Shapes: `D` width, `H` query heads, `G` key/value heads, `h` head width, `F` feed-forward width, `V` vocabulary.
///
/// `Sendable` because nothing changes after initialization, and the kernels only read packed matrices.
public final class LanguageModelWeights: @unchecked Sendable {
    /// One block: attention, then SwiGLU; both pre-norm.
    struct Block {
        let attentionNorm: WeightVector
        let query: Projection, key: Projection, value: Projection
        /// Gains of the norms of each head of q and k (Qwen3).
        let queryNorm: WeightVector?, keyNorm: WeightVector?
        let output: Projection
        let feedForwardNorm: WeightVector
        let gate: WeightMatrix, up: WeightMatrix, down: WeightMatrix

        var matrices: [WeightMatrix] {
            [query.matrix, key.matrix, value.matrix, output.matrix, gate, up, down]
        }
    }

    /// A matrix and its bias.
    struct Projection {
        let matrix: WeightMatrix
        let bias: WeightVector?
    }

    /// The model's shape.
    public let configuration: LanguageModelConfiguration
    /// How the weights are kept.
    public let format: WeightFormat

    /// Embeddings of the tokens, [V, D]; also the head when the two are tied.
    let tokenTable: WeightMatrix
    let head: WeightMatrix
    let blocks: [Block]
    let finalNorm: WeightVector

    /// Number of bytes of the packed matrices.
    public var byteCount: Int {
        let heads = head === tokenTable ? [head] : [head, tokenTable]
        return (heads + blocks.flatMap(\.matrices)).reduce(0) { $0 + $1.byteCount }
    }

    /// Packs a model's tensors.
    ///
    /// - Parameters:
    ///   - configuration: the model's shape.
    ///   - format: how weights are kept.
    ///   - team: packs in parallel.
    ///   - find: the tensor of a Hugging Face name; nil when there is none.
    /// - Throws: `LanguageModelWeightsError` naming a tensor that is missing, of another shape or of a type that cannot
    ///   be computed with; what `find` throws.
    init(
        configuration: LanguageModelConfiguration,
        format: WeightFormat,
        team: ThreadTeam,
        find: @escaping (String) throws -> WeightRows?
    ) throws {
        self.configuration = configuration
        self.format = format
        let (D, F, V) = (configuration.width, configuration.feedForwardWidth, configuration.vocabularySize)
        let (h, H, G) = (configuration.headWidth, configuration.heads, configuration.keyValueHeads)
        let (isBiased, isNormed) = (configuration.hasInputBiases, configuration.normalizesHeads)
        var loader = WeightLoader(format: format, find: find)

        tokenTable = try loader.matrix("model.embed_tokens.weight", V, D)
        var blocks: [Block] = []
        for index in 0..<configuration.layers {
            let (attention, mlp) = ("model.layers.\(index).self_attn", "model.layers.\(index).mlp")
            func projection(_ name: String, _ outputs: Int, _ inputs: Int, bias: Bool) throws -> Projection {
                let matrix = try loader.matrix("\(attention).\(name).weight", outputs, inputs)
                let vector = bias ? try loader.vector("\(attention).\(name).bias", outputs) : nil
                return Projection(matrix: matrix, bias: vector)
            }
            let (gate, up) = try loader.pair("\(mlp).gate_proj.weight", "\(mlp).up_proj.weight", F, D)
            blocks.append(
                Block(
                    attentionNorm: try loader.vector("model.layers.\(index).input_layernorm.weight", D),
                    query: try projection("q_proj", H * h, D, bias: isBiased),
                    key: try projection("k_proj", G * h, D, bias: isBiased),
                    value: try projection("v_proj", G * h, D, bias: isBiased),
                    queryNorm: isNormed ? try loader.vector("\(attention).q_norm.weight", h) : nil,
                    keyNorm: isNormed ? try loader.vector("\(attention).k_norm.weight", h) : nil,
                    output: try projection("o_proj", D, H * h, bias: configuration.hasOutputBias),
                    feedForwardNorm: try loader.vector("model.layers.\(index).post_attention_layernorm.weight", D),
                    gate: gate,
                    up: up,
                    down: try loader.matrix("\(mlp).down_proj.weight", D, F)
                )
            )
        }
        self.blocks = blocks
        finalNorm = try loader.vector("model.norm.weight", D)
        head = configuration.tiesEmbeddings ? tokenTable : try loader.matrix("lm_head.weight", V, D)
        try loader.pack(on: team)
    }

    /// Packs a model from its files.
    ///
    /// - Parameters:
    ///   - source: the opened files.
    ///   - format: how weights are kept.
    ///   - threads: number of threads that pack.
    /// - Throws: `LanguageModelWeightsError` naming a tensor that cannot be packed; `ModelFileError` naming a norm or a
    ///   bias that cannot be read; `EngineError` for the number of threads.
    public convenience init(
        _ source: LanguageModelSource,
        format: WeightFormat = .stored,
        threads: Int = 1
    ) throws {
        let team = try ThreadTeam(memberCount: threads)
        try self.init(configuration: source.configuration, format: format, team: team) { name in
            WeightRows(try source.tensor(name))
        }
    }

    /// Packs a model from plain numbers.
    ///
    /// - Parameters:
    ///   - configuration: the model's shape.
    ///   - format: how weights are kept.
    ///   - threads: number of threads that pack.
    ///   - floats: the numbers of the tensor of a Hugging Face name, row after row; nil when there is none.
    /// - Throws: `LanguageModelWeightsError` naming a tensor that is missing or of another size; `EngineError` for the
    ///   number of threads; what `floats` throws.
    public convenience init(
        configuration: LanguageModelConfiguration,
        format: WeightFormat = .float32,
        threads: Int = 1,
        floats: @escaping (String) throws -> [Float]?
    ) throws {
        let team = try ThreadTeam(memberCount: threads)
        try self.init(configuration: configuration, format: format, team: team) { name in
            try floats(name).map { WeightRows($0, shape: [$0.count]) }
        }
    }
}
