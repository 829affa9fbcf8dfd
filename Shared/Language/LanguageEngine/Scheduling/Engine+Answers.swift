import CLanguageKernels

extension Engine {
    /// Chooses the next token of a text.
    func choose(for state: SequenceState, _ logits: UnsafeMutableBufferPointer<Float>) -> NextToken {
        if state.passageScore != nil { return chooseInPassage(for: state, logits) }
        forbidTokens(for: state, logits)
        let children = state.request.tree?.children(of: state.node)
        if case .reading(let answer) = state.request.search, let children {
            return read(answer, for: state, children, logits)
        }
        if let children, children.count > 1, let prior = state.request.tree?.prior(of: state.node) {
            let logs = Logits.among(children, logits, prior: prior)
            for (child, log) in zip(children, logs) { logits[Int(child.token)] = log }
        }
        guard let count = state.request.logProbabilities else {
            return NextToken(token: state.sampler.next(logits, allowed: children?.map(\.token)))
        }
        // The distribution of model and prior, before penalties and bias.
        if let children {
            let logs = zip(children, Logits.among(children, logits)).map {
                GeneratedToken.Choice(token: $0.token, logProbability: $1)
            }
            let token = state.sampler.next(logits, allowed: children.map(\.token))
            let order = logs.sorted { ($0.logProbability, $1.token) > ($1.logProbability, $0.token) }
            let own = logs.first { $0.token == token }?.logProbability
            return NextToken(token: token, logProbability: own, likeliest: Array(order.prefix(count)))
        }
        let logSum = lk_log_sum_exp(logits.baseAddress, Int64(logits.count))
        let likeliest = Logits.likeliest(count, logits, logSum: logSum)
        let own = state.request.sampling.leavesLogits ? [] : Array(logits)
        let token = state.sampler.next(logits)
        let logit = token.map { own.isEmpty ? logits[Int($0)] : own[Int($0)] }
        return NextToken(token: token, logProbability: logit.map { $0 - logSum }, likeliest: likeliest)
    }

    /// Takes the next token of a given answer, and notes the choice where there is one.
    private func read(
        _ answer: [Int32],
        for state: SequenceState,
        _ children: [(token: Int32, node: Int32)],
        _ logits: UnsafeMutableBufferPointer<Float>
    ) -> NextToken {
        let token = answer[state.tokens.count - state.softCount - state.request.tokens.count]
        guard children.count > 1, let taken = children.firstIndex(where: { $0.token == token }) else {
            return NextToken(token: token)
        }
        let logs = Logits.among(children, logits)
        guard !logs.contains(where: \.isNaN) else { return NextToken(token: nil) }
        state.result.branches.append(ReadBranch(node: state.node, taken: taken, logs: logs))
        return NextToken(token: token, logProbability: logs[taken])
    }

    /// Adds a chosen token to a sequence's answer, or ends it.
    func accept(_ next: NextToken, _ state: SequenceState) {
        guard let token = next.token else { return finish(state, .failed(Self.notNumbers)) }
        let generated = GeneratedToken(token: token, logProbability: next.logProbability, likeliest: next.likeliest)
        if state.passageScore != nil { return acceptInPassage(generated, next.passageLog, state) }
        if let tree = state.request.tree {
            guard let child = tree.children(of: state.node).first(where: { $0.token == token }) else { return }
            state.node = child.node
            if !state.request.stopTokens.contains(token) { _ = emit(generated, state) }
            finishCertainAnswer(state)
        } else {
            if state.request.stopTokens.contains(token) { return finish(state, .stop) }
            let output = emit(generated, state)
            if output?.isStopped == true { return finish(state, .stop) }
            if output?.opensPassage == true { return openPassage(after: token, state) }
            if state.result.generatedTokens >= state.request.maximumTokens { return finish(state, .length) }
        }
        state.tokens.append(token)
    }

    /// Ends a sequence whose tree has a single answer left: the rest of it has probability 1.
    func finishCertainAnswer(_ state: SequenceState) {
        guard let tree = state.request.tree else { return }
        if let ranking = state.beams?.search.ranking { return finish(state, ranking: ranking) }
        guard state.beams == nil, let leaf = tree.onlyLeaf(below: state.node) else { return }
        let isAsked = state.request.logProbabilities != nil
        for token in tree.tokens(below: state.node) where !state.request.stopTokens.contains(token) {
            _ = emit(GeneratedToken(token: token, logProbability: isAsked ? 0 : nil), state)
        }
        state.result.leaf = leaf
        finish(state, .stop)
    }

    /// Ends a beam search.
    func finish(_ state: SequenceState, ranking: [RankedLeaf]) {
        state.result.ranking = ranking
        state.result.leaf = ranking.first?.leaf
        state.result.firstTokenTime = now() - state.submitted
        finish(state, .stop)
    }

    /// Reports a token of the answer and the text it makes certain.
    private func emit(_ token: GeneratedToken, _ state: SequenceState) -> TextWriter.Output? {
        report(token, state)
        guard let output = state.writer?.append(token.token) else { return nil }
        if !output.text.isEmpty { events.append(.text(state.id, output.text)) }
        // What follows a stop string is no part of the answer.
        if output.isStopped { state.writer = nil }
        return output
    }

    /// Reports and counts a token of the answer.
    func report(_ token: GeneratedToken, _ state: SequenceState) {
        state.result.generatedTokens += 1
        counts.generatedTokens += 1
        if state.result.firstTokenTime == nil { state.result.firstTokenTime = now() - state.submitted }
        events.append(.token(state.id, token))
    }
}
