/// Passages of a free text, held to a tree.
extension Engine {
    /// Keeps a free text from going beyond the mark of a passage with the token that completes it.
    func forbidTokens(for state: SequenceState, _ logits: UnsafeMutableBufferPointer<Float>) {
        guard let marks = state.request.passages?.marks, let writer = state.writer else { return }
        for token in marks.tokens(forbiddenAfter: writer.unfinishedMark) where logits.indices.contains(Int(token)) {
            logits[Int(token)] = -.infinity
        }
    }

    /// Chooses the next token of an open passage.
    func chooseInPassage(for state: SequenceState, _ logits: UnsafeMutableBufferPointer<Float>) -> NextToken {
        guard let passages = state.request.passages else { return NextToken(token: nil) }
        if let first = passages.marks.closingTokens.first { logits[Int(passages.end)] = logits[Int(first)] }
        let children = passages.tree.children(of: state.node)
        let prior = passages.tree.prior(of: state.node)
        let logs = Logits.among(children, logits, prior: prior)
        guard !logs.contains(where: \.isNaN) else { return NextToken(token: nil) }
        if prior != nil { for (child, log) in zip(children, logs) { logits[Int(child.token)] = log } }
        var next = NextToken(token: state.sampler.next(logits, allowed: children.map(\.token)))
        if let taken = children.firstIndex(where: { $0.token == next.token }) { next.passageLog = logs[taken] }
        if let count = state.request.logProbabilities {
            next.logProbability = next.passageLog
            let choices = zip(children, logs).map { GeneratedToken.Choice(token: $0.token, logProbability: $1) }
            let order = choices.sorted { ($0.logProbability, $1.token) > ($1.logProbability, $0.token) }
            next.likeliest = Array(order.prefix(count))
        }
        return next
    }

    /// Begins a passage after the token that completed its mark.
    func openPassage(after token: Int32, _ state: SequenceState) {
        guard let passages = state.request.passages else { return }
        state.tokens.append(token)
        (state.passageScore, state.node) = (0, passages.tree.root)
        follow(passages, state)
    }

    /// Adds a chosen token to an open passage.
    func acceptInPassage(_ generated: GeneratedToken, _ log: Float, _ state: SequenceState) {
        guard let passages = state.request.passages, let score = state.passageScore else { return }
        let children = passages.tree.children(of: state.node)
        guard let child = children.first(where: { $0.token == generated.token }) else { return }
        state.passageScore = score + log
        if child.token == passages.end {
            close(passages, at: child.node, state)
        } else {
            report(generated, state)
            state.tokens.append(generated.token)
            state.node = child.node
        }
        follow(passages, state)
    }

    /// Goes on in an open passage as long as there is no choice, and ends the text when it has all its tokens.
    private func follow(_ passages: TreePassages, _ state: SequenceState) {
        while state.passageScore != nil {
            let children = passages.tree.children(of: state.node)
            guard children.count == 1, let only = children.first else { break }
            if only.token == passages.end {
                close(passages, at: only.node, state)
            } else if hasRoom(state) {
                add(only.token, state)
                state.node = only.node
            } else {
                break
            }
        }
        if !hasRoom(state) { finish(state, .length) }
    }

    /// Ends a passage at a leaf of its tree; of the closing mark, which nobody sees, as much is added as there is room for.
    private func close(_ passages: TreePassages, at node: Int32, _ state: SequenceState) {
        if let leaf = passages.tree.onlyLeaf(below: node), let score = state.passageScore {
            events.append(.passage(state.id, RankedLeaf(leaf: leaf, score: score)))
        }
        state.passageScore = nil
        for token in passages.marks.closingTokens where hasRoom(state) { add(token, state) }
    }

    private func hasRoom(_ state: SequenceState) -> Bool {
        state.result.generatedTokens < state.request.maximumTokens
    }

    /// Adds a token that was not chosen.
    private func add(_ token: Int32, _ state: SequenceState) {
        state.sampler.note(token)
        report(GeneratedToken(token: token, logProbability: state.request.logProbabilities.map { _ in 0 }), state)
        state.tokens.append(token)
    }
}
