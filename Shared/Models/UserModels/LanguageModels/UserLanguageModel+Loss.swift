import ModelFiles
public import NeuralNetwork
import Tensors

/// What a User-LLM learns from a shard's questions.
extension UserLanguageModel {
    /// The loss of one shard.
    ///
    /// - Parameters:
    ///   - graph: the shard's graph.
    ///   - batch: timelines and questions; at least one question.
    ///   - answers: the trees the questions were made with.
    ///   - weights: weights of the terms.
    ///   - counts: counts over all shards of the step, so that the shards' gradients add up to the mean's.
    /// - Returns: the loss to minimize, and its terms.
    public func loss(
        _ graph: Graph,
        _ batch: UserQuestionBatch,
        answers: KnownAnswers,
        weights: LossWeights,
        counts: Counts
    ) -> Loss {
        let events = encoder.hidden(graph, batch.timelines.events)
        let states = answerStates(graph, events: events, batch.questions)
        var terms: [(Variable, Float)] = []
        var parts: [(name: String, value: Variable)] = []
        func add(_ name: String, _ sum: Variable, weight: Float, count: Int) {
            let share = 1 / Float(max(count, 1))
            terms.append((sum, weight * share))
            parts.append((name, graph.scale(sum, share)))
        }
        for choice in TrainingQuestion.Choice.allCases {
            let questions = batch.questions.indices.filter { batch.questions[$0].choice == choice }
            if questions.isEmpty { continue }
            let (sum, logits) = answerLoss(graph, states, batch.questions, questions, tree: answers.tree(choice))
            if let logits, let tree = answers.tree(choice), weights.encoderGuidance > 0 {
                let asked = questions.map { batch.questions[$0] }
                if let term = guidance(graph, events, logits, asked, tree: tree, share: weights.encoderGuidance) {
                    terms.append((term, weights.knownAnswers / Float(max(counts.knownAnswers, 1))))
                }
            }
            switch choice {
            case .vocabulary:
                add(choice.rawValue, sum, weight: weights.vocabulary, count: counts.vocabularyTokens)
            case .text: add(choice.rawValue, sum, weight: weights.text, count: counts.textTokens)
            case .title, .category, .known:
                add(choice.rawValue, sum, weight: weights.knownAnswers, count: counts.knownAnswers)
            }
        }
        if weights.nextEvent > 0, batch.timelines.targetCount > 0 {
            let loss = encoder.loss(graph, hidden: events, batch.timelines, targetCount: counts.nextEvents)
            add("next-event", loss, weight: weights.nextEvent, count: 1)
        }
        return Loss(total: graph.sum(terms), parts: parts)
    }

    /// The language model's states at the learnt positions of all questions, each with its own user's context.
    ///
    /// Shape [sum of positions, D], in the order of the questions.
    private func answerStates(_ graph: Graph, events: Variable, _ questions: [TrainingQuestion]) -> Variable {
        let contexts = adapter.perceiver.contexts(
            graph,
            events: events,
            timelines: questions.map { Int32($0.timeline) },
            prefixes: questions.map { Int32($0.prefix) }
        )
        if adapter.configuration.kind == .softPrompt { return statesAfterSoftPrompt(graph, contexts, questions) }
        let parts = questions.map { (prompt: $0.tokens[..<$0.promptLength], answer: $0.answer) }
        // Where no answer is a known one, each question has words of its own.
        let isShared = questions.contains { $0.choice.isKnown }
        let texts = isShared ? shared.read(graph, parts) : shared.readApart(graph, parts)
        let context = adapter.prepare(graph, contexts: contexts, promptLengths: nil, lengths: texts.packing.lengths)
        let hidden = languageModel.read(
            graph,
            texts.states,
            texts.packing,
            blocks: adapter.configuration.crossAttentionFrom..<languageModel.configuration.layers,
            after: texts.prefixes
        ) { graph, block, x in
            self.adapter.beforeBlock(graph, block, x, context)
        }.hidden
        var rows: [Int32] = []
        var first: Int32 = 0
        for (index, question) in questions.enumerated() {
            rows += question.positions.map { first + $0 - Int32(texts.starts[index]) }
            first += texts.packing.lengths[index]
        }
        return languageModel.normed(graph, graph.gatherRows(hidden, rows))
    }

    /// The same where the context stands before the text, so that all of a text depends on it.
    private func statesAfterSoftPrompt(
        _ graph: Graph,
        _ contexts: Variable,
        _ questions: [TrainingQuestion]
    ) -> Variable {
        let context = adapter.prepare(graph, contexts: contexts, promptLengths: nil)
        let T = questions.map(\.tokens.count).max() ?? 0
        let tokens = questions.flatMap { $0.tokens + [Int32](repeating: 0, count: T - $0.tokens.count) }
        let hidden = languageModel.hidden(
            graph,
            tokens: tokens,
            count: questions.count,
            softPrompt: context.softPrompt
        )
        let rows = questions.enumerated().flatMap { index, question in
            question.positions.map { Int32(index * T) + $0 }
        }
        return graph.gatherRows(hidden, rows)
    }

    /// The change of the summed loss when the encoder's predictions take their share in the targets.
    ///
    /// Rows of `logits` are the positions of `questions`, concatenated. Nil when no question asks for the next item.
    private func guidance(
        _ graph: Graph,
        _ events: Variable,
        _ logits: Variable,
        _ questions: [TrainingQuestion],
        tree: PrefixTree,
        share: Float
    ) -> Variable? {
        let L = events.shape[1]
        let rows = questions.filter(\.isGuided).map { Int32($0.timeline * L + $0.prefix - 1) }
        if rows.isEmpty { return nil }
        let itemCount = encoder.configuration.itemCount
        let flat = graph.reshaped(events, [events.shape[0] * L, encoder.configuration.width])
        let scores = graph.values(of: encoder.scores(graph, lastHidden: graph.gatherRows(flat, rows)))
        let guidance = EncoderGuidance(tree: tree, itemCount: itemCount)
        let V = tree.branchTokens.count
        var weights = [Float](repeating: 0, count: logits.shape[0] * V)
        var row = 0
        var guided = 0
        for question in questions {
            if question.isGuided {
                let sums = guidance.cumulative(scores[guided * itemCount..<(guided + 1) * itemCount])
                for (index, node) in question.nodes.enumerated() {
                    guidance.add(
                        to: &weights,
                        from: (row + index) * V,
                        node: node,
                        target: question.targets[index],
                        sums: sums,
                        share: share
                    )
                }
                guided += 1
            }
            row += question.nodes.count
        }
        return graph.weightedSum(logits, weights: weights)
    }

    /// The summed loss of the selected questions' answer tokens, and their logits where a tree restricts the choice.
    ///
    /// Logits are those of the tree's `branchTokens` alone.
    private func answerLoss(
        _ graph: Graph,
        _ states: Variable,
        _ questions: [TrainingQuestion],
        _ chosen: [Int],
        tree: PrefixTree?
    ) -> (sum: Variable, logits: Variable?) {
        let targets = chosen.flatMap { questions[$0].targets }
        var starts: [Int32] = [0]
        for question in questions { starts.append(starts[starts.count - 1] + Int32(question.positions.count)) }
        let chosenStates = graph.gatherRows(states, chosen.flatMap { starts[$0]..<starts[$0 + 1] })
        guard let tree else {
            let sum = graph.crossEntropy(
                chosenStates,
                weight: graph.parameter(languageModel.head),
                bias: nil,
                targets: targets,
                rowWeights: nil
            )
            return (sum, nil)
        }
        var columns: [Int32] = []
        var offsets: [Int32] = [0]
        for node in chosen.lazy.flatMap({ questions[$0].nodes }) {
            columns.append(contentsOf: tree.tokens(after: node).lazy.map(tree.branchColumn))
            offsets.append(Int32(columns.count))
        }
        let table = graph.gatherRows(graph.parameter(languageModel.head), tree.branchTokens)
        let logits = graph.linear(chosenStates, weight: table, bias: nil)
        let sum = graph.crossEntropy(
            logits,
            targets: targets.map(tree.branchColumn),
            allowed: CandidateSets(columns: columns, offsets: offsets),
            rowWeights: nil
        )
        return (sum, logits)
    }
}
