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
    /// Texts where the context enters, packed end to end.
    struct Texts {
        /// Hidden states before the first block with cross-attention, from each text's first token on which the context acts
        /// on, shape [N, D].
        let states: Variable
        /// Which rows are whose, and what stands before them.
        let packing: LanguageModel.Packing
        /// What the blocks from there on read before those tokens.
        let prefixes: [LanguageModel.Prefix]
        /// The first token of each text on which the context acts.
        let starts: [Int]
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

    /// Reads texts up to where the context enters, where many have the same prompt and there are few of them.
    ///
    /// - Parameters:
    ///   - graph: records the operations that have trained weights behind them.
    ///   - texts: prompts and the tokens after them.
    /// - Returns: the states of all tokens on which the context acts.
    func read(_ graph: Graph, _ texts: [(prompt: ArraySlice<Int32>, answer: ArraySlice<Int32>)]) -> Texts {
        let isKept = model.isFrozen(0..<first)
        var members: [(prompt: ArraySlice<Int32>, texts: [Int])] = []
        var groups: [ArraySlice<Int32>: Int] = [:]
        for (index, text) in texts.enumerated() {
            if groups[text.prompt] == nil {
                groups[text.prompt] = members.count
                members.append((text.prompt, []))
            }
            members[groups[text.prompt] ?? 0].texts.append(index)
        }
        // The rows of all prompts' last tokens and of all answers, and then each text's own rows among them.
        var (parts, prefixes) = ([Variable](), [LanguageModel.Prefix]())
        var pieces = [[Range<Int32>]](repeating: [], count: texts.count)
        var (chosen, starts) = ([Int](repeating: 0, count: texts.count), [Int](repeating: 0, count: texts.count))
        var next: Int32 = 0
        func append(_ part: Variable) -> Int32 {
            defer { next += Int32(part.shape[0]) }
            parts.append(part)
            return next
        }
        for (group, (tokens, own)) in members.enumerated() {
            let key = PromptKey(tokens: Array(tokens), precision: graph.precision)
            let prompt = isKept ? keptPrompt(graph, key) : read(graph, key.tokens)
            let count = tokens.count - prompt.start
            let last = append(graph.gatherRows(prompt.hidden, (prompt.start..<tokens.count).map(Int32.init)))
            let answers = own.map { texts[$0].answer }
            var row: Int32 = 0
            if answers.contains(where: { !$0.isEmpty }) {
                row = append(
                    isKept && first > 0
                        ? keptAnswers(graph, key, prompt, answers) : read(graph, answers, after: prompt)
                )
            }
            for text in own {
                let length = Int32(texts[text].answer.count)
                pieces[text] = [last..<last + Int32(count), row..<row + length]
                row += length
                (chosen[text], starts[text]) = (group, prompt.start)
            }
            prefixes.append(LanguageModel.Prefix(lengths: [prompt.start], layers: prompt.upper))
        }
        let lengths = pieces.map { $0.reduce(0) { $0 + Int32($1.count) } }
        return Texts(
            states: graph.gatherRows(graph.stacked(parts), pieces.flatMap { $0.joined() }),
            packing: startsAtPrompt
                ? LanguageModel.Packing(lengths: lengths, after: chosen) : LanguageModel.Packing(lengths: lengths),
            prefixes: startsAtPrompt ? prefixes : [],
            starts: starts
        )
    }

    /// Reads texts that have nothing in common up to where the context enters: all in one pass, of which nothing is kept.
    ///
    /// - Parameters:
    ///   - graph: records the operations that have trained weights behind them.
    ///   - texts: prompts and the tokens after them.
    /// - Returns: the states of all tokens on which the context acts; the same as by `read`.
    func readApart(_ graph: Graph, _ texts: [(prompt: ArraySlice<Int32>, answer: ArraySlice<Int32>)]) -> Texts {
        let starts = texts.map { start($0.prompt.count) }
        let lengths = texts.map { Int32($0.prompt.count + $0.answer.count) }
        let packing = LanguageModel.Packing(lengths: lengths)
        let embedded = model.embedded(graph, texts.flatMap { $0.prompt + $0.answer })
        let hidden = model.read(graph, embedded, packing, blocks: 0..<first).hidden
        guard startsAtPrompt else { return Texts(states: hidden, packing: packing, prefixes: [], starts: starts) }
        var (before, after, row) = ([Int32](), [Int32](), Int32(0))
        for (start, length) in zip(starts, lengths) {
            before += row..<row + Int32(start)
            after += row + Int32(start)..<row + length
            row += length
        }
        let upper = model.read(
            graph,
            graph.gatherRows(hidden, before),
            LanguageModel.Packing(lengths: starts.map(Int32.init)),
            blocks: first..<model.configuration.layers
        )
        return Texts(
            states: graph.gatherRows(hidden, after),
            packing: LanguageModel.Packing(
                lengths: zip(lengths, starts).map { $0 - Int32($1) },
                after: Array(texts.indices)
            ),
            prefixes: [LanguageModel.Prefix(lengths: starts, layers: upper.layers)],
            starts: starts
        )
    }

    // MARK: - Reading

    private func read(_ graph: Graph, _ prompt: [Int32]) -> Prompt {
        let packing = LanguageModel.Packing(lengths: [Int32(prompt.count)])
        let lower = model.read(graph, model.embedded(graph, prompt), packing, blocks: 0..<first)
        let start = start(prompt.count)
        return Prompt(
            hidden: lower.hidden,
            lower: lower.layers,
            upper: upper(graph, lower.hidden, start: start),
            start: start
        )
    }

    private func start(_ promptLength: Int) -> Int { startsAtPrompt ? promptLength - 1 : 0 }

    /// Keys and values, in the blocks with cross-attention, of the tokens on which no context acts.
    private func upper(_ graph: Graph, _ hidden: Variable, start: Int) -> [(key: Variable, value: Variable)] {
        guard startsAtPrompt else { return [] }
        let blocks = first..<model.configuration.layers
        let before = graph.gatherRows(hidden, (0..<start).map(Int32.init))
        // A prefix of no tokens has no rows to read, and an entry for each block all the same.
        return model.read(graph, before, LanguageModel.Packing(lengths: [Int32(start)]), blocks: blocks).layers
    }

    /// Reads answers with the blocks below the first with cross-attention: [sum of tokens, D].
    private func read(_ graph: Graph, _ answers: [ArraySlice<Int32>], after prompt: Prompt) -> Variable {
        let prefix = LanguageModel.Prefix(lengths: [prompt.hidden.shape[0]], layers: prompt.lower)
        let packing = LanguageModel.Packing(
            lengths: answers.map { Int32($0.count) },
            after: [Int](repeating: 0, count: answers.count)
        )
        let embedded = model.embedded(graph, Array(answers.joined()))
        return model.read(graph, embedded, packing, blocks: 0..<first, after: [prefix]).hidden
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
        _ answers: [ArraySlice<Int32>]
    ) -> Variable {
        let D = model.configuration.width
        let wanted = Set(answers.lazy.filter { !$0.isEmpty }.map(Array.init))
        var found = kept.withLock { state in
            let known = state.answers[key] ?? [:]
            return Dictionary(uniqueKeysWithValues: wanted.compactMap { answer in known[answer].map { (answer, $0) } })
        }
        let missing = wanted.filter { found[$0] == nil }.sorted { $0.lexicographicallyPrecedes($1) }
        for pass in Self.passes(missing) {
            let (texts, starts) = Self.placed(pass)
            let values = graph.values(of: read(graph, texts, after: prompt))
            for (answer, start) in zip(pass, starts) {
                let states = Array(values[start * D..<(start + answer.count) * D])
                found[answer] = states
                keep(bytes: (states.count + answer.count) * 4) { $0.answers[key, default: [:]][answer] = states }
            }
        }
        let values = answers.flatMap { found[Array($0)] ?? [] }
        return graph.constant(values, shape: [values.count / D, D])
    }

    /// Tokens that are read in one pass where states are kept.
    ///
    /// Always as many, because the rounding of a product depends on its number of rows. OpenBLAS's kernels for AVX2 round
    /// the two halves of each twelve rows differently, so every text starts at a multiple of `alignment` as well. What is
    /// kept of a text then has the same bits whichever texts were missing beside it, and a training that goes on does so
    /// bit for bit.
    private static let passRows = 192
    private static let alignment = 12

    /// The tokens that a text takes in a pass, with its fillers.
    private static func room(for answer: [Int32]) -> Int { (answer.count + alignment - 1) / alignment * alignment }

    /// Divides answers into passes of up to `passRows` tokens; a longer one has a pass of its own.
    private static func passes(_ answers: [[Int32]]) -> [[[Int32]]] {
        var passes: [[[Int32]]] = []
        var rows = 0
        for answer in answers {
            if passes.isEmpty || rows + room(for: answer) > passRows {
                passes.append([])
                rows = 0
            }
            passes[passes.count - 1].append(answer)
            rows += room(for: answer)
        }
        return passes
    }

    /// The texts of a pass with fillers of one token each, and the row at which each answer starts.
    private static func placed(_ pass: [[Int32]]) -> (texts: [ArraySlice<Int32>], starts: [Int]) {
        var (texts, starts, row) = ([ArraySlice<Int32>](), [Int](), 0)
        func fill(to end: Int) {
            texts += [ArraySlice<Int32>](repeating: [0], count: end - row)
            row = end
        }
        for answer in pass {
            let start = row
            starts.append(start)
            texts.append(answer[...])
            row += answer.count
            fill(to: start + room(for: answer))
        }
        fill(to: (row + passRows - 1) / passRows * passRows)
        return (texts, starts)
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
