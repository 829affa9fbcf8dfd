import Foundation
import NeuralNetwork
import Tensors
import TestSupport
import Testing

/// Each operation and its gradients against PyTorch's, from Fixtures/Operations/make-golden.py.
@Suite struct GoldenOperationTests {
    private let golden: SafeTensors

    init() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/Operations/operations.safetensors").path
        golden = try SafeTensors(path: path)
    }

    private func parameter(_ name: String) throws -> Parameter { Parameter(name, try golden.tensor(name)) }

    private func expectEqual(_ found: Tensor?, _ name: String, _ location: SourceLocation) throws {
        let expected = try golden.tensor(name).values.map(Double.init)
        expectClose(found?.values ?? [], expected, tolerance: 1e-5, name, sourceLocation: location)
    }

    /// Compares the result of an operation and the gradients of its inputs, given by name.
    private func check(
        _ name: String,
        _ inputs: [String],
        sourceLocation: SourceLocation = #_sourceLocation,
        _ operation: (Graph, [Parameter]) -> Variable
    ) throws {
        let parameters = try inputs.map { try parameter("\(name)/in/\($0)") }
        let graph = Graph(recording: true, seed: 1)
        let out = operation(graph, parameters)
        try expectEqual(graph.tensor(of: out), "\(name)/out", sourceLocation)
        graph.backward(graph.weightedSum(out, weights: try golden.tensor("\(name)/upstream").values))
        for (input, parameter) in zip(inputs, parameters) {
            try expectEqual(graph.gradient(of: parameter), "\(name)/gradient/\(input)", sourceLocation)
        }
    }

    @Test func linear() throws {
        try check("linear", ["x", "weight", "bias"]) { $0.linear($0.parameter($1[0]), weight: $1[1], bias: $1[2]) }
    }

    @Test func norms() throws {
        try check("layer_norm", ["x", "gain", "bias"]) {
            $0.layerNorm($0.parameter($1[0]), gain: $1[1], bias: $1[2], epsilon: 1e-5)
        }
        try check("rms_norm", ["x", "gain"]) { $0.rmsNorm($0.parameter($1[0]), gain: $1[1], epsilon: 1e-6) }
    }

    @Test func activations() throws {
        try check("gelu", ["x"]) { $0.gelu($0.scale($0.parameter($1[0]), 3)) }
        try check("silu", ["x"]) { $0.silu($0.scale($0.parameter($1[0]), 3)) }
        try check("swiglu", ["gate", "up"]) { $0.swiGLU(gate: $0.parameter($1[0]), up: $0.parameter($1[1])) }
    }

    @Test func embeddings() throws {
        try check("embedding", ["table"]) { $0.embedding($1[0], [4, 0, 4, 5]) }
        try check("embedding_mean", ["table"]) {
            $0.embeddingMean($1[0], indices: [4, 0, 4, 5, 1], offsets: [0, 3, 3, 5])
        }
    }

    @Test(arguments: [
        ("attention_bidirectional", 3, 3, false, [5, 1, 3] as [Int32]?),
        ("attention_causal", 2, 2, true, nil),
        ("attention_grouped", 4, 2, true, nil),
        ("attention_cross", 3, 3, false, [9, 4]),
    ])
    func attention(name: String, heads: Int, keyHeads: Int, causal: Bool, lengths: [Int32]?) throws {
        try check(name, ["q", "k", "v"]) {
            $0.attention(
                q: $0.parameter($1[0]),
                k: $0.parameter($1[1]),
                v: $0.parameter($1[2]),
                heads: heads,
                keyValueHeads: keyHeads,
                causal: causal,
                keyLengths: lengths
            )
        }
    }

    @Test func rotaryPositions() throws {
        try check("rotary", ["x"]) {
            $0.rotary($0.parameter($1[0]), heads: 2, positions: [0, 1, 2, 7, 8, 900], base: 10_000)
        }
    }

    @Test func pointwiseAttention() throws {
        try check("pointwise_attention", ["packed", "bias"]) {
            $0.pointwiseAttention(
                $0.parameter($1[0]),
                positionBias: $1[1],
                heads: 2,
                causal: true,
                divisor: 9,
                lengths: [7, 4]
            )
        }
    }

    @Test func crossEntropy() throws {
        try check("cross_entropy", ["x", "table", "bias"]) {
            $0.crossEntropy(
                $0.parameter($1[0]),
                weight: $0.parameter($1[1]),
                bias: $1[2],
                targets: [3, 22, 0, -1, 7, 7],
                rowWeights: [1, 0.5, 2, 1, 1, 0.25]
            )
        }
        try check("sampled_cross_entropy", ["x", "positives", "negatives"]) {
            $0.sampledCrossEntropy(
                $0.parameter($1[0]),
                positives: $0.parameter($1[1]),
                negatives: $0.parameter($1[2]),
                targets: [3, 8, 3, 1],
                shared: SharedNegatives(ids: [8, 2, 5, 3, 9, 0], biases: [0.1, -0.2, 0.3, 0, 0.5, -1])
            )
        }
    }

    @Test func adamWWithClipping() throws {
        let parameters = try (0..<2).map { try parameter("adamw/in/\($0)") }
        let optimizer = AdamW(
            groups: [AdamW.Group(parameters, weightDecay: 0.1)],
            betas: (0.9, 0.98),
            epsilon: 1e-7,
            maximumNorm: 1
        )
        for step in 0..<5 {
            let gradients = try (0..<2).map { [try golden.tensor("adamw/gradient/\(step)/\($0)")] }
            let norm = optimizer.step(gradients: gradients, learningRate: 0.03)
            #expect(abs(norm - (try golden.tensor("adamw/norm/\(step)"))[0]) < 1e-5)
        }
        for (index, parameter) in parameters.enumerated() {
            try expectEqual(parameter.value, "adamw/out/\(index)", #_sourceLocation)
        }
    }
}
