import CLanguageKernels
import Foundation

/// Gated cross-attention before some of a language model's blocks: `x + tanh(gate) * CrossAttention(norm(x), context)`.
///
/// The weights of a layer before block `b` are `cross_attention.b.norm.weight` [D], `.query.weight` [I, D],
/// `.key.weight` and `.value.weight` [I, D], `.output.weight` [D, I] and `.gate` [1]; `D` is the language model's width
/// and the context's, `I` the inner width.
///
/// `Sendable` because nothing changes after initialization, and the kernels only read packed matrices.
/// - Source: gated cross-attention of Flamingo, arXiv 2204.14198; User-LLM, arXiv 2402.13598.
public final class AdapterWeights: @unchecked Sendable {
    /// The shape of the layers.
    public struct Configuration: Sendable, Equatable {
        /// Width of the language model and of the context's rows, `D`.
        public var width: Int
        /// The blocks with a layer before them, ascending.
        public var blocks: [Int]
        /// Heads; must divide the inner width.
        public var heads: Int
        /// Width of queries, keys and values, `I`.
        public var innerWidth: Int
        /// Epsilon of the norms.
        public var normEpsilon: Float = 1e-5

        /// A layer before every n-th block from a first one on.
        ///
        /// - Parameters:
        ///   - width: the language model's width.
        ///   - layers: the language model's number of blocks.
        ///   - first: the first block with a layer, at least 0.
        ///   - every: the distance from one to the next, at least 1.
        ///   - heads: heads of cross-attention.
        ///   - innerWidth: width of queries, keys and values; nil takes the language model's.
        public init(width: Int, layers: Int, first: Int = 0, every: Int = 1, heads: Int, innerWidth: Int? = nil) {
            self.width = width
            self.heads = heads
            self.innerWidth = innerWidth ?? width
            blocks = Array(stride(from: max(first, 0), to: layers, by: max(every, 1)))
        }
    }

    /// One layer whose gate is open.
    struct Layer {
        let norm: WeightVector
        let query: WeightMatrix, key: WeightMatrix, value: WeightMatrix
        /// Times tanh(gate), so that a product adds what the gate lets through.
        let output: WeightMatrix
    }

    /// The shape of the layers.
    public let configuration: Configuration
    /// The layer before each block; nothing where there is none, or where its gate is 0: it would change nothing.
    let layers: [Int: Layer]

    /// Packs an adapter.
    ///
    /// - Parameters:
    ///   - configuration: the shape.
    ///   - format: how weights are kept.
    ///   - floats: the numbers of a tensor, row after row; nil when there is none of that name.
    /// - Throws: `EngineError.invalid` naming a value of the configuration that is out of range;
    ///   `LanguageModelWeightsError` naming a tensor that is missing or of another size; what `floats` throws.
    public init(
        configuration: Configuration,
        format: WeightFormat = .float32,
        floats: @escaping (String) throws -> [Float]?
    ) throws {
        let (D, I) = (configuration.width, configuration.innerWidth)
        let sizes = 1...1_048_576
        try check("adapter.width", D, sizes.contains(D), "from 1 to \(sizes.upperBound)")
        try check("adapter.innerWidth", I, sizes.contains(I), "from 1 to \(sizes.upperBound)")
        let isDivided = configuration.heads > 0 && I % max(configuration.heads, 1) == 0
        try check("adapter.heads", configuration.heads, isDivided, "a divisor of the inner width \(I)")
        self.configuration = configuration
        let team = try ThreadTeam(memberCount: 1)
        var loader = WeightLoader(format: format) { name in
            guard let values = try floats(name) else { return nil }
            let parts = name.split(separator: ".")
            guard parts.count == 4, parts[2] == "output" else { return WeightRows(values, shape: [values.count]) }
            let gate = try floats("cross_attention.\(parts[1]).gate")?.first ?? 0
            return WeightRows(values.map { $0 * tanh(gate) }, shape: [values.count])
        }
        var layers: [Int: Layer] = [:]
        for block in configuration.blocks {
            let name = "cross_attention.\(block)"
            let gate = try loader.vector("\(name).gate", 1).values[0]
            let layer = Layer(
                norm: try loader.vector("\(name).norm.weight", D),
                query: try loader.matrix("\(name).query.weight", I, D),
                key: try loader.matrix("\(name).key.weight", I, D),
                value: try loader.matrix("\(name).value.weight", I, D),
                output: try loader.matrix("\(name).output.weight", D, I)
            )
            if gate != 0 { layers[block] = layer }
        }
        try loader.pack(on: team)
        self.layers = layers
    }
}
