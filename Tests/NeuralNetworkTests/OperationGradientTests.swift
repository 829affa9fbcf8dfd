import NeuralNetwork
import Tensors
import TestSupport
import Testing

/// Each operation's gradient against differences of its value, in sizes that leave tails in vector loops.
@Suite struct OperationGradientTests {
    private var source = SeededValues(seed: 7)

    /// Checks an operation by the sum of its output times fixed random weights.
    private mutating func check(
        _ parameters: [Parameter],
        sourceLocation: SourceLocation = #_sourceLocation,
        _ operation: (Graph) -> Variable
    ) {
        let probe = Graph(recording: false, seed: 1)
        let weights = source.normal(operation(probe).shape.reduce(1, *))
        GradientCheck.expect(parameters, sourceLocation: sourceLocation) { graph in
            graph.weightedSum(operation(graph), weights: weights)
        }
    }

    @Test mutating func linear() {
        let x = source.parameter("x", [2, 3, 5])
        let (weight, bias) = (source.parameter("weight", [7, 5]), source.parameter("bias", [7]))
        check([x, weight, bias]) { $0.linear($0.parameter(x), weight: weight, bias: bias) }
        check([x, weight]) { $0.linear($0.parameter(x), weight: weight, bias: nil) }
    }

    @Test mutating func linearWithALowRankUpdate() {
        let x = source.parameter("x", [2, 3, 5])
        let (weight, bias) = (source.parameter("weight", [7, 5]), source.parameter("bias", [7]))
        let (down, up) = (source.parameter("down", [2, 5]), source.parameter("up", [7, 2]))
        func mapped(_ graph: Graph, bias: Parameter?) -> Variable {
            graph.linear(graph.parameter(x), weight: weight, bias: bias, down: down, up: up, factor: 1.5)
        }
        check([x, weight, bias, down, up]) { mapped($0, bias: bias) }
        for parameter in [weight, x] { parameter.isTrainable = false }
        check([down, up]) { mapped($0, bias: nil) }
        // The same as with the sum of the two weights.
        let graph = Graph(recording: false, seed: 0)
        let product = graph.linear(graph.parameter(up), weight: transposed(down), bias: nil)
        let sum = graph.add(graph.parameter(weight), graph.scale(product, 1.5))
        let expected = graph.values(of: graph.linear(graph.parameter(x), weight: sum, bias: bias))
        let found = graph.values(of: mapped(graph, bias: bias))
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-5 })
    }

    private func transposed(_ parameter: Parameter) -> Parameter {
        let (rows, columns) = (parameter.shape[0], parameter.shape[1])
        let values = (0..<rows * columns).map { parameter.value[$0 % rows * columns + $0 / rows] }
        return Parameter("transposed", Tensor(values, shape: [columns, rows]))
    }

    @Test mutating func sumsAndProducts() {
        let (a, b) = (source.parameter("a", [3, 5]), source.parameter("b", [3, 5]))
        check([a, b]) { $0.add($0.parameter(a), $0.parameter(b)) }
        check([a, b]) { $0.multiply($0.parameter(a), $0.parameter(b)) }
        check([a]) { $0.multiply($0.parameter(a), $0.parameter(a)) }
        check([a]) { $0.scale($0.parameter(a), -1.5) }
        // The same tensor goes to both sides of each sum: a shared gradient must not be changed in place.
        check([a, b]) { graph in
            let sum = graph.add(graph.parameter(a), graph.parameter(a))
            let twice = graph.add(sum, graph.parameter(b))
            return graph.add(graph.multiply(twice, sum), graph.reshaped(sum, [3, 5]))
        }
    }

    @Test mutating func stacked() {
        let (a, b) = (source.parameter("a", [3, 5]), source.parameter("b", [2, 1, 5]))
        check([a, b]) { $0.stacked([$0.parameter(a), $0.parameter(b), $0.parameter(a)]) }
        check([a]) { $0.stacked([$0.parameter(a)]) }
    }

    @Test mutating func addRows() {
        let (x, row) = (source.parameter("x", [2, 3, 5]), source.parameter("row", [3, 5]))
        check([x, row]) { $0.addRows($0.parameter(x), $0.parameter(row)) }
        let single = source.parameter("single", [5])
        check([x, single]) { $0.addRows($0.parameter(x), $0.parameter(single)) }
    }

    @Test mutating func gatedAdd() {
        let (x, y) = (source.parameter("x", [3, 5]), source.parameter("y", [3, 5]))
        for opening: Float in [0, 0.4] {
            let gate = Parameter.constant("gate", [1], opening)
            check([x, y, gate]) { $0.gatedAdd($0.parameter(x), $0.parameter(y), gate: gate) }
        }
    }

    @Test mutating func embeddings() {
        let table = source.parameter("table", [6, 5])
        check([table]) { $0.embedding(table, [0, 3, -1, 3, 5, 0]) }
        check([table]) { $0.embeddingMean(table, indices: [1, 2, 2, 5, 0], offsets: [0, 3, 3, 5]) }
    }

    @Test mutating func gathers() {
        let x = source.parameter("x", [4, 3, 5])
        check([x]) { $0.gatherRows($0.parameter(x), [11, 0, -1, 4, 4]) }
        check([x]) { $0.gatherBlocks($0.parameter(x), [2, 0, 2, -1]) }
    }

    @Test mutating func layout() {
        let (a, b) = (source.parameter("a", [2, 3, 5]), source.parameter("b", [2, 3, 2]))
        check([a, b]) { $0.concatenate([$0.parameter(a), $0.parameter(b), $0.parameter(a)]) }
        check([a]) { $0.columns(of: $0.parameter(a), 1..<4) }
        check([b]) { $0.repeated($0.reshaped($0.parameter(b), [6, 2]), times: 4) }
        check([a]) { $0.maskedMean($0.parameter(a), lengths: [2, 0]) }
    }

    @Test mutating func normalizations() {
        let x = source.parameter("x", [3, 19])
        let (gain, bias) = (source.parameter("gain", [19]), source.parameter("bias", [19]))
        check([x, gain, bias]) { $0.layerNorm($0.parameter(x), gain: gain, bias: bias, epsilon: 1e-5) }
        check([x, gain]) { $0.rmsNorm($0.parameter(x), gain: gain, epsilon: 1e-6) }
        // The residual's gradient is there first, so that the kernels have to add to it.
        check([x, gain, bias]) { graph in
            let input = graph.scale(graph.parameter(x), 1.1)
            return graph.add(graph.layerNorm(input, gain: gain, bias: bias), graph.rmsNorm(input, gain: gain))
        }
    }

    @Test mutating func activations() {
        let (x, y) = (source.parameter("x", [3, 19], deviation: 2), source.parameter("y", [3, 19]))
        check([x]) { $0.gelu($0.parameter(x)) }
        check([x]) { $0.silu($0.parameter(x)) }
        check([x, y]) { $0.swiGLU(gate: $0.parameter(x), up: $0.parameter(y)) }
        check([x]) { $0.swiGLU(gate: $0.parameter(x), up: $0.parameter(x)) }
        check([x]) { $0.dropout($0.parameter(x), probability: 0.3) }
        check([x]) { graph in
            let input = graph.scale(graph.parameter(x), 0.5)
            let sum = graph.add(graph.gelu(input), graph.silu(input))
            return graph.add(sum, graph.dropout(input, probability: 0.5))
        }
    }

    @Test mutating func rotary() {
        let x = source.parameter("x", [2, 3, 12])
        let positions: [Int32] = [0, 1, 2, 7, 300, 9]
        check([x]) { $0.rotary($0.parameter(x), heads: 2, positions: positions, base: 10_000) }
        check([x]) { graph in
            let input = graph.parameter(x)
            return graph.add(input, graph.rotary(input, heads: 3, positions: positions, base: 100))
        }
    }

    @Test(arguments: [false, true])
    mutating func attention(causal: Bool) {
        let (q, k, v) = (
            source.parameter("q", [3, 4, 12]), source.parameter("k", [3, 4, 12]), source.parameter("v", [3, 4, 12])
        )
        check([q, k, v]) {
            $0.attention(
                q: $0.parameter(q),
                k: $0.parameter(k),
                v: $0.parameter(v),
                heads: 3,
                keyValueHeads: 3,
                causal: causal,
                keyLengths: [4, 0, 2]
            )
        }
        // One tensor in all three places.
        check([q]) {
            let x = $0.parameter(q)
            return $0.attention(q: x, k: x, v: x, heads: 2, keyValueHeads: 2, causal: causal)
        }
    }

    @Test(arguments: [false, true])
    mutating func attentionOverSharedBlocks(causal: Bool) {
        let (q, k, v) = (
            source.parameter("q", [3, 2, 12]), source.parameter("k", [2, 5, 6]), source.parameter("v", [2, 5, 6])
        )
        check([q, k, v]) {
            $0.attention(
                q: $0.parameter(q),
                k: $0.parameter(k),
                v: $0.parameter(v),
                heads: 4,
                keyValueHeads: 2,
                causal: causal,
                keyLengths: [5, 3, 4],
                keyBlocks: [1, 0, 1]
            )
        }
    }

    @Test mutating func tiedCrossEntropy() {
        let (x, table) = (source.parameter("x", [5, 3]), source.parameter("table", [7, 3]))
        let bias = source.parameter("bias", [7])
        let weights: [Float] = [1, 0.5, 2, 1, 0.25]
        for targets: [Int32] in [[6, 0, 3, 3, 1], [6, -1, 3, 3, -1]] {
            GradientCheck.expect([x, table, bias]) {
                let loss = $0.crossEntropy(
                    $0.parameter(x),
                    weight: $0.parameter(table),
                    bias: bias,
                    targets: targets,
                    rowWeights: weights
                )
                return $0.scale(loss, 0.3)
            }
        }
        // Tied for good: the table is also where the hidden states come from.
        GradientCheck.expect([table]) {
            let hidden = $0.embedding(table, [1, 2, 3])
            return $0.crossEntropy(hidden, weight: $0.parameter(table), targets: [2, 3, 4])
        }
    }

    @Test mutating func crossEntropyOfLogits() {
        let logits = source.parameter("logits", [4, 19])
        let targets: [Int32] = [18, 0, -1, 5]
        GradientCheck.expect([logits]) { $0.crossEntropy($0.parameter(logits), targets: targets) }
        let allowed = CandidateSets([[1, 18], [0], [], [3, 4, 5, 17]])
        GradientCheck.expect([logits]) {
            $0.crossEntropy($0.parameter(logits), targets: targets, allowed: allowed, rowWeights: [1, 2, 3, 0.5])
        }
    }

    @Test mutating func sumOfScalars() {
        let x = source.parameter("x", [5])
        GradientCheck.expect([x]) {
            let first = $0.weightedSum($0.parameter(x), weights: [1, 2, 3, 4, 5])
            let second = $0.weightedSum($0.gelu($0.parameter(x)), weights: [5, 4, 3, 2, 1])
            return $0.sum([(first, 0.5), (second, -2), (first, 1)])
        }
    }

    @Test func aWrongGradientIsFound() {
        // The check itself must be able to fail: here the loss changes with a value the graph does not know about.
        let x = Parameter("x", Tensor([1, 2, 3], shape: [3]))
        let worst = GradientCheck.worst([x]) { graph in
            let copy = graph.constant(x.value.values, shape: [3])
            return graph.weightedSum(graph.multiply(graph.parameter(x), copy), weights: [1, 1, 1])
        }
        #expect(worst.difference > 0.4)
    }
}
