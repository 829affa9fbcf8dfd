import Foundation
import LanguageEngine
import ModelFiles

/// The language model in double precision, position by position as the papers write it, without any of the kernels.
struct ReferenceModel {
    let model: TinyModel

    /// Logits of every position of a text.
    ///
    /// - Parameters:
    ///   - tokens: the text.
    ///   - context: rows that cross-attention reads.
    ///   - contextStart: the first token on which they act.
    ///   - softPrompt: rows before the tokens' embeddings.
    /// - Returns: a row of logits for each token.
    func logits(
        _ tokens: [Int32],
        context: [Float]? = nil,
        contextStart: Int = 0,
        softPrompt: [Float] = []
    ) -> [[Double]] {
        let shape = model.configuration
        let D = shape.width
        let soft = rows(softPrompt, D)
        let table = matrix("model.embed_tokens.weight", D)
        var x = soft + tokens.map { table[Int($0)] }
        let contextRows = context.map { rows($0, D) }
        for layer in 0..<shape.layers {
            if let contextRows { crossAttend(&x, layer, contextRows, from: soft.count + contextStart) }
            attend(&x, layer)
            feedForward(&x, layer)
        }
        let head = shape.tiesEmbeddings ? table : matrix("lm_head.weight", D)
        let gains = vector("model.norm.weight")
        return x.dropFirst(soft.count).map { product(head, norm($0, gains, shape.normEpsilon)) }
    }

    private func attend(_ x: inout [[Double]], _ layer: Int) {
        let shape = model.configuration
        let (D, h, H, G) = (shape.width, shape.headWidth, shape.heads, shape.keyValueHeads)
        let name = "model.layers.\(layer).self_attn"
        let gains = vector("model.layers.\(layer).input_layernorm.weight")
        let speeds = shape.rotaryScaling.speeds(headWidth: h, base: shape.rotaryBase)
        func projected(_ part: String, _ x: [Double], inputs: Int) -> [Double] {
            let y = product(matrix("\(name).\(part).weight", inputs), x)
            guard let bias = model.values["\(name).\(part).bias"] else { return y }
            return zip(y, bias).map { $0 + Double($1) }
        }
        func heads(_ y: [Double], _ norm: String, position: Int, turned: Bool) -> [[Double]] {
            stride(from: 0, to: y.count, by: h).map { start in
                var head = Array(y[start..<start + h])
                if let gains = model.values["\(name).\(norm).weight"] {
                    head = self.norm(head, gains.map(Double.init), shape.normEpsilon)
                }
                return turned ? rotated(head, position, speeds) : head
            }
        }
        let normed = x.map { norm($0, gains, shape.normEpsilon) }
        let indexed = Array(normed.enumerated())
        let q = indexed.map { heads(projected("q_proj", $1, inputs: D), "q_norm", position: $0, turned: true) }
        let k = indexed.map { heads(projected("k_proj", $1, inputs: D), "k_norm", position: $0, turned: true) }
        let v = indexed.map { heads(projected("v_proj", $1, inputs: D), "none", position: $0, turned: false) }
        for position in x.indices {
            var joined: [Double] = []
            for head in 0..<H {
                let source = head / (H / G)
                let scores = (0...position).map { dot(q[position][head], k[$0][source]) / Double(h).squareRoot() }
                joined += mix(softmax(scores), (0...position).map { v[$0][source] })
            }
            x[position] = sum(x[position], projected("o_proj", joined, inputs: H * h))
        }
    }

    private func feedForward(_ x: inout [[Double]], _ layer: Int) {
        let shape = model.configuration
        let (D, F) = (shape.width, shape.feedForwardWidth)
        let name = "model.layers.\(layer)"
        let gains = vector("\(name).post_attention_layernorm.weight")
        let (gate, up) = (matrix("\(name).mlp.gate_proj.weight", D), matrix("\(name).mlp.up_proj.weight", D))
        let down = matrix("\(name).mlp.down_proj.weight", F)
        for position in x.indices {
            let normed = norm(x[position], gains, shape.normEpsilon)
            let inner = zip(product(gate, normed), product(up, normed)).map { $0 / (1 + exp(-$0)) * $1 }
            x[position] = sum(x[position], product(down, inner))
        }
    }

    /// `x + tanh(gate) * CrossAttention(norm(x), context)`, as `UserAdapter` has it.
    private func crossAttend(_ x: inout [[Double]], _ layer: Int, _ context: [[Double]], from start: Int) {
        guard let shape = model.adapter, shape.blocks.contains(layer) else { return }
        let (D, I, heads) = (shape.width, shape.innerWidth, shape.heads)
        func weights(_ part: String, _ inputs: Int) -> [[Double]] {
            rows(model.adapterValues["cross_attention.\(layer).\(part).weight"] ?? [], inputs)
        }
        let gains = (model.adapterValues["cross_attention.\(layer).norm.weight"] ?? []).map(Double.init)
        let gate = tanh(Double(model.adapterValues["cross_attention.\(layer).gate"]?[0] ?? 0))
        let (query, output) = (weights("query", D), weights("output", I))
        let keys = context.map { product(weights("key", D), $0) }
        let values = context.map { product(weights("value", D), $0) }
        let h = I / heads
        for position in x.indices where position >= start {
            let q = product(query, norm(x[position], gains, shape.normEpsilon))
            var joined: [Double] = []
            for head in 0..<heads {
                let part = head * h..<(head + 1) * h
                let scores = keys.map { dot(Array(q[part]), Array($0[part])) / Double(h).squareRoot() }
                joined += mix(softmax(scores), values.map { Array($0[part]) })
            }
            x[position] = sum(x[position], product(output, joined).map { gate * $0 })
        }
    }

    // MARK: - Arithmetic

    private func vector(_ name: String) -> [Double] { (model.values[name] ?? []).map(Double.init) }
    private func matrix(_ name: String, _ inputs: Int) -> [[Double]] { rows(model.values[name] ?? [], inputs) }

    private func rows(_ values: [Float], _ width: Int) -> [[Double]] {
        stride(from: 0, to: values.count, by: width).map { values[$0..<$0 + width].map(Double.init) }
    }

    private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    private func sum(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map { $0 + $1 } }
    private func product(_ w: [[Double]], _ x: [Double]) -> [Double] { w.map { dot($0, x) } }

    private func mix(_ weights: [Double], _ rows: [[Double]]) -> [Double] {
        zip(weights, rows).reduce([Double](repeating: 0, count: rows[0].count)) { total, part in
            zip(total, part.1).map { $0 + part.0 * $1 }
        }
    }

    private func softmax(_ x: [Double]) -> [Double] {
        let greatest = x.max() ?? 0
        let weights = x.map { exp($0 - greatest) }
        let total = weights.reduce(0, +)
        return weights.map { $0 / total }
    }

    private func norm(_ x: [Double], _ gains: [Double], _ epsilon: Float) -> [Double] {
        let scale = 1 / (dot(x, x) / Double(x.count) + Double(epsilon)).squareRoot()
        return zip(x, gains).map { $0 * scale * $1 }
    }

    private func rotated(_ head: [Double], _ position: Int, _ speeds: [Double]) -> [Double] {
        let half = head.count / 2
        var result = head
        for (pair, speed) in speeds.enumerated() {
            let (c, s) = (cos(Double(position) * speed), sin(Double(position) * speed))
            result[pair] = head[pair] * c - head[pair + half] * s
            result[pair + half] = head[pair + half] * c + head[pair] * s
        }
        return result
    }
}
