import Tensors

extension Graph {
    /// Rows of a table by index, [N, d]; index -1 gives a row of zeros.
    public func embedding(_ table: Parameter, _ indices: [Int32]) -> Variable {
        gatherRows(parameter(table), indices)
    }

    /// Means of a table's rows, [N, d]: bag i is `indices[offsets[i] ..< offsets[i + 1]]`; an empty one gives zeros.
    public func embeddingMean(_ table: Parameter, indices: [Int32], offsets: [Int32]) -> Variable {
        let rows = node(of: table)
        let means = Gather.bagMeans(of: rows.value, indices: indices, offsets: offsets, pool: pool)
        return record(means, from: [rows]) { [unowned self] gradient in
            guard let target = accumulatedGradient(rows) else { return }
            Gather.bagMeansBackward(gradient, indices: indices, offsets: offsets, into: target)
        }
    }

    /// Rows of x, [N, d] with leading dimensions flattened, in the given order: [M, d]; -1 gives a row of zeros.
    public func gatherRows(_ x: Variable, _ rows: [Int32]) -> Variable {
        gather(x, rows, width: x.node.value.width, shape: [rows.count, x.node.value.width])
    }

    /// Blocks of x, [B, K, d], in the given order: [M, K, d].
    public func gatherBlocks(_ x: Variable, _ blocks: [Int32]) -> Variable {
        precondition(x.shape.count == 3, "gatherBlocks takes [B, K, d], got \(x.shape)")
        return gather(x, blocks, width: x.shape[1] * x.shape[2], shape: [blocks.count, x.shape[1], x.shape[2]])
    }

    private func gather(_ x: Variable, _ indices: [Int32], width: Int, shape: [Int]) -> Variable {
        let input = x.node
        let out = Gather.rows(of: input.value, indices, width: width, shape: shape, pool: pool)
        return record(out, from: [input]) { [unowned self] gradient in
            guard let target = accumulatedGradient(input) else { return }
            Gather.rowsBackward(gradient, indices, width: width, into: target)
        }
    }

    /// The same values with another shape, without a copy.
    public func reshaped(_ x: Variable, _ shape: [Int]) -> Variable {
        let input = x.node
        return record(input.value.reshaped(shape), from: [input]) { [unowned self] gradient in
            deliver(gradient, to: input)
        }
    }

    /// Concatenates variables with the same leading dimensions along the last dimension.
    public func concatenate(_ xs: [Variable]) -> Variable {
        precondition(!xs.isEmpty, "concatenate needs a variable")
        for x in xs {
            precondition(x.shape.dropLast() == xs[0].shape.dropLast(), "\(x.shape) does not fit beside \(xs[0].shape)")
        }
        return joined(xs, Elementwise.concatenate, size: \.width, part: Elementwise.columns)
    }

    /// Stacks variables of the same width by rows, [N, d]; a single one is returned as is.
    public func stacked(_ xs: [Variable]) -> Variable {
        precondition(!xs.isEmpty, "stacked needs a variable")
        for x in xs { precondition(x.shape.last == xs[0].shape.last, "\(x.shape) does not fit below \(xs[0].shape)") }
        guard xs.count > 1 else { return xs[0] }
        return joined(xs, Elementwise.stacked, size: \.rows, part: Elementwise.rows)
    }

    /// Joins variables one after the other; each one's gradient is the part of the result's that is as large as it.
    private func joined(
        _ xs: [Variable],
        _ join: ([Tensor], BufferPool) -> Tensor,
        size: @escaping (Tensor) -> Int,
        part: @escaping (_ gradient: Tensor, _ start: Int, _ count: Int, BufferPool) -> Tensor
    ) -> Variable {
        let nodes = xs.map(\.node)
        return record(join(nodes.map(\.value), pool), from: nodes) { [unowned self] gradient in
            var start = 0
            for node in nodes {
                let count = size(node.value)
                if node.requiresGradient { deliver(part(gradient, start, count, pool), to: node) }
                start += count
            }
        }
    }

    /// A range of columns of the last dimension.
    public func columns(of x: Variable, _ range: Range<Int>) -> Variable {
        let input = x.node
        precondition(range.lowerBound >= 0 && range.upperBound <= input.value.width, "\(range) exceeds \(x.shape)")
        let out = Elementwise.columns(of: input.value, start: range.lowerBound, count: range.count, pool: pool)
        return record(out, from: [input]) { [unowned self] gradient in
            guard let target = accumulatedGradient(input) else { return }
            Elementwise.accumulateColumns(gradient, into: target, start: range.lowerBound)
        }
    }

    /// Repeats x, [K, d], for each of `count` batch rows: [count, K, d].
    public func repeated(_ x: Variable, times count: Int) -> Variable {
        let input = x.node
        return record(Elementwise.repeated(input.value, count: count, pool: pool), from: [input]) {
            [unowned self] gradient in
            guard let (target, accumulate) = gradientTarget(input) else { return }
            Elementwise.sumRows(gradient, into: target, accumulate: accumulate)
        }
    }

    /// The mean over the first `lengths[b]` steps of x, [B, T, d]: [B, d]; zeros for length 0.
    public func maskedMean(_ x: Variable, lengths: [Int32]) -> Variable {
        let input = x.node
        precondition(x.shape.count == 3, "maskedMean takes [B, T, d], got \(x.shape)")
        let mean = Gather.maskedMean(input.value, lengths: lengths, pool: pool)
        return record(mean, from: [input]) { [unowned self] gradient in
            guard let (target, accumulate) = gradientTarget(input) else { return }
            Gather.maskedMeanBackward(gradient, lengths: lengths, into: target, accumulate: accumulate)
        }
    }
}
