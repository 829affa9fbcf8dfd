import ModelFiles
import NeuralNetwork
import Synchronization
import Tensors

/// What a language model makes of questions and answers before a user's context enters: the same for all users.
///
/// Below the first block with cross-attention no state depends on a user, and where the context acts from the last token
/// of the prompt on, none before that token does. Such states are computed once for each prompt and shared by all texts of
/// a step that begin with it. Where no weight behind them is trained, they are kept for later steps too.
///
/// Shapes: `P` tokens of a prompt, `T` tokens of an answer, `D` width, `w` width of keys.
final class SharedStates: Sendable {
    /// Texts with the same prompt, where the context enters.
    struct Texts {
        /// Hidden states before the first block with cross-attention, from the token `start` on, shape [B, T, D].
        let states: Variable
        /// What the blocks from there on read before that token; nil where `start` is 0.
        let prefix: LanguageModel.Prefix?
        /// The first token on which the context acts.
        let start: Int
    }

    /// The states of a prompt as variables of a graph.
    private struct Prompt {
        /// Before the first block with cross-attention, shape [P, D].
        let hidden: Variable
        /// Keys and values of the blocks below, each [P, w].
        let lower: [(key: Variable, value: Variable)]
        /// Keys and values of the other blocks for the tokens before `start`, each [start, w].
        let upper: [(key: Variable, value: Variable)]
        let start: Int
    }

    /// The states of a prompt that are kept.
    private struct KeptPrompt: Sendable {
        let hidden: Tensor
        let lower: [(key: Tensor, value: Tensor)]
        /// Nil where a block from the first with cross-attention on is trained.
        let upper: [(key: Tensor, value: Tensor)]?
    }

    private struct PromptKey: Hashable, Sendable {
        let tokens: [Int32]
        let precision: Precision
    }

    private struct Kept: Sendable {
        var prompts: [PromptKey: KeptPrompt] = [:]
        /// States before the first block with cross-attention of each answer's tokens, shape [T, D].
        var answers: [PromptKey: [[Int32]: [Float]]] = [:]
        var bytes = 0
    }

    private let model: LanguageModel
    /// The first block with cross-attention.
    private let first: Int
    private let startsAtPrompt: Bool
    private let capacity: Int
    private let kept = Mutex(Kept())

    /// Prepares for a model and an adapter with cross-attention.
    ///
    /// - Parameters:
    ///   - model: the language model.
    ///   - adapter: says where the context enters.
    ///   - capacity: how many bytes are kept at most; texts beyond it are computed each time.
    init(_ model: LanguageModel, _ adapter: UserAdapter.Configuration, capacity: Int = 1 << 30) {
        self.model = model
        self.capacity = capacity
        first = adapter.crossAttentionFrom
        startsAtPrompt = adapter.contextFrom == .lastPromptToken
    }

    /// Forgets what is kept, because weights are about to change or their training is.
    func reset() { kept.withLock { $0 = Kept() } }

    /// How many bytes are kept.
    var keptBytes: Int { kept.withLock { $0.bytes } }

    /// Reads texts with the same prompt up to where the context enters.
    ///
    /// - Parameters:
    ///   - graph: records the operations that have trained weights behind them.
    ///   - prompt: tokens of the prompt.
    ///   - answers: the tokens after it, of each text; shorter ones are padded at the end.
    /// - Returns: states of as many tokens as the longest text has.
    func texts(_ graph: Graph, prompt: [Int32], answers: [ArraySlice<Int32>]) -> Texts {
        let isKept = model.isFrozen(0..<first)
        let key = PromptKey(tokens: prompt, precision: graph.precision)
        let read = isKept ? keptPrompt(graph, key) : self.read(graph, prompt)
        let (B, T, D) = (answers.count, answers.map(\.count).max() ?? 0, model.configuration.width)
        let last = graph.gatherRows(read.hidden, (read.start..<prompt.count).map(Int32.init))
        let states: Variable
        if T == 0 {
            states = graph.repeated(last, times: B)
        } else {
            let after =
                isKept && first > 0
                ? keptAnswers(graph, key, read, answers, length: T) : self.read(graph, answers, length: T, after: read)
            let flat = graph.reshaped(after, [B * T, D])
            states = LanguageModel.preceded(graph, flat, of: B, by: last)
        }
        let prefix = read.start > 0 ? LanguageModel.Prefix(length: read.start, layers: read.upper) : nil
        return Texts(states: states, prefix: prefix, start: read.start)
    }

    // MARK: - Reading

    private func read(_ graph: Graph, _ prompt: [Int32]) -> Prompt {
        let (P, D) = (prompt.count, model.configuration.width)
        let embedded = graph.reshaped(model.embedded(graph, prompt), [1, P, D])
        let lower = model.read(graph, embedded, blocks: 0..<first)
        let hidden = graph.reshaped(lower.hidden, [P, D])
        return Prompt(
            hidden: hidden,
            lower: flat(graph, lower.layers),
            upper: upper(graph, hidden, start: start(P)),
            start: start(P)
        )
    }

    private func start(_ promptLength: Int) -> Int { startsAtPrompt ? promptLength - 1 : 0 }

    /// Keys and values, in the blocks with cross-attention, of the tokens on which no context acts.
    private func upper(_ graph: Graph, _ hidden: Variable, start: Int) -> [(key: Variable, value: Variable)] {
        guard start > 0 else { return [] }
        let before = graph.gatherRows(hidden, (0..<start).map(Int32.init))
        let shaped = graph.reshaped(before, [1, start, model.configuration.width])
        return flat(graph, model.read(graph, shaped, blocks: first..<model.configuration.layers).layers)
    }

    private func flat(
        _ graph: Graph,
        _ layers: [(key: Variable, value: Variable)]
    ) -> [(key: Variable, value: Variable)] {
        layers.map { key, value in
            let shape = Array(key.shape.suffix(2))
            return (key: graph.reshaped(key, shape), value: graph.reshaped(value, shape))
        }
    }

    /// Reads answers with the blocks below the first with cross-attention: [B, T, D].
    private func read(_ graph: Graph, _ answers: [ArraySlice<Int32>], length T: Int, after prompt: Prompt) -> Variable {
        let tokens = answers.flatMap { $0 + [Int32](repeating: 0, count: T - $0.count) }
        let embedded = graph.reshaped(model.embedded(graph, tokens), [answers.count, T, model.configuration.width])
        let prefix = LanguageModel.Prefix(length: prompt.hidden.shape[0], layers: prompt.lower)
        return model.read(graph, embedded, blocks: 0..<first, after: prefix).hidden
    }

    // MARK: - Keeping

    private func keptPrompt(_ graph: Graph, _ key: PromptKey) -> Prompt {
        let start = start(key.tokens.count)
        if let known = kept.withLock({ $0.prompts[key] }) { return variables(graph, known, start: start) }
        let prompt = read(graph, key.tokens)
        func copies(_ layers: [(key: Variable, value: Variable)]) -> [(key: Tensor, value: Tensor)] {
            layers.map { (key: graph.tensor(of: $0.key).copy(), value: graph.tensor(of: $0.value).copy()) }
        }
        let new = KeptPrompt(
            hidden: graph.tensor(of: prompt.hidden).copy(),
            lower: copies(prompt.lower),
            upper: model.isFrozen(0..<model.configuration.layers) ? copies(prompt.upper) : nil
        )
        let values = [new.hidden] + (new.lower + (new.upper ?? [])).flatMap { [$0.key, $0.value] }
        keep(bytes: values.reduce(0) { $0 + $1.count } * 4) { $0.prompts[key] = new }
        return prompt
    }

    private func variables(_ graph: Graph, _ known: KeptPrompt, start: Int) -> Prompt {
        func constants(_ layers: [(key: Tensor, value: Tensor)]) -> [(key: Variable, value: Variable)] {
            layers.map { (key: graph.constant($0.key), value: graph.constant($0.value)) }
        }
        let hidden = graph.constant(known.hidden)
        return Prompt(
            hidden: hidden,
            lower: constants(known.lower),
            upper: known.upper.map(constants) ?? upper(graph, hidden, start: start),
            start: start
        )
    }

    private func keptAnswers(
        _ graph: Graph,
        _ key: PromptKey,
        _ prompt: Prompt,
        _ answers: [ArraySlice<Int32>],
        length T: Int
    ) -> Variable {
        let D = model.configuration.width
        let wanted = Set(answers.lazy.filter { !$0.isEmpty }.map(Array.init))
        var found = kept.withLock { state in
            let known = state.answers[key] ?? [:]
            return Dictionary(uniqueKeysWithValues: wanted.compactMap { answer in known[answer].map { (answer, $0) } })
        }
        // Sorted, so that the same step makes the same products however the set is ordered.
        let missing = wanted.filter { found[$0] == nil }.sorted { $0.lexicographicallyPrecedes($1) }
        if !missing.isEmpty {
            let length = missing.map(\.count).max() ?? 0
            let values = graph.values(of: read(graph, missing.map { $0[...] }, length: length, after: prompt))
            for (index, answer) in missing.enumerated() {
                let states = Array(values[index * length * D..<(index * length + answer.count) * D])
                found[answer] = states
                keep(bytes: (states.count + answer.count) * 4) { $0.answers[key, default: [:]][answer] = states }
            }
        }
        var values: [Float] = []
        values.reserveCapacity(answers.count * T * D)
        for answer in answers {
            let states = found[Array(answer)] ?? []
            values += states
            values += repeatElement(0, count: T * D - states.count)
        }
        return graph.constant(values, shape: [answers.count, T, D])
    }

    /// Keeps something of this size unless it is too much.
    private func keep(bytes: Int, _ store: (inout Kept) -> Void) {
        kept.withLock { state in
            guard state.bytes + bytes <= capacity else { return }
            state.bytes += bytes
            store(&state)
        }
    }
}
