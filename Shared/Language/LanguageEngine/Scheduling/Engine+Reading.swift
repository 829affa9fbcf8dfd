extension Engine {
    /// Where a row of logits belongs.
    private struct Place {
        let state: SequenceState
        /// The beam; nil for the text itself.
        let beam: Int?
    }

    /// Runs a pass and gives every sequence what it brought.
    func read(_ readings: [Reading]) throws(EngineError) {
        // Rows that attend to a context stand together, so that its products have them in one run.
        let ordered = readings.filter { actsContext(on: $0) } + readings.filter { !actsContext(on: $0) }
        var segments: [Segment] = []
        var places: [Place] = []
        for reading in ordered { append(reading, to: &segments, &places) }
        try runner.run(segments) { index, logits in
            let (state, beam) = (places[index].state, places[index].beam)
            if let search = state.beams?.search {
                let logs = Logits.among(search.allowed[beam ?? 0], logits, prior: search.prior(of: beam ?? 0))
                state.beams?.logs.append(logs)
            } else {
                state.next = choose(for: state, logits)
            }
        }
        for reading in readings {
            counts.positions += reading.positionCount
            commit(reading)
        }
        for reading in readings { advance(reading) }
    }

    private func actsContext(on reading: Reading) -> Bool {
        let state = reading.state
        let end = reading.beams == nil ? state.table.length + reading.count : state.tokens.count + 1
        return state.context != nil && end > contextStart(state)
    }

    /// The first position on which a sequence's context acts.
    private func contextStart(_ state: SequenceState) -> Int {
        let (start, overflows) = state.softCount.addingReportingOverflow(state.request.contextStart)
        return overflows ? .max : start
    }

    private func append(_ reading: Reading, to segments: inout [Segment], _ places: inout [Place]) {
        let state = reading.state
        if let range = reading.beams, let beams = state.beams {
            for beam in range {
                segments.append(
                    Segment(
                        tokens: [beams.search.beams[beam].token],
                        softPrompt: nil,
                        firstPosition: beams.tables[beam].length,
                        pages: beams.tables[beam].pages,
                        context: beams.tables[beam].length >= contextStart(state) ? state.context : nil,
                        logitCount: 1
                    )
                )
                places.append(Place(state: state, beam: beam))
            }
            return
        }
        let (first, last) = (state.table.length, state.table.length + reading.count)
        let needsLogits = last == state.tokens.count
        // The positions before the context acts, and those from there on.
        let cut = state.context == nil ? last : min(max(contextStart(state), first), last)
        for range in [first..<cut, cut..<last] where !range.isEmpty {
            segments.append(
                Segment(
                    tokens: state.tokens[range],
                    softPrompt: state.softPrompt,
                    firstPosition: range.lowerBound,
                    pages: state.table.pages,
                    context: range.lowerBound >= cut ? state.context : nil,
                    logitCount: needsLogits && range.upperBound == last ? 1 : 0
                )
            )
        }
        if needsLogits { places.append(Place(state: state, beam: nil)) }
    }

    private func commit(_ reading: Reading) {
        let state = reading.state
        guard let beams = reading.beams else {
            let end = state.table.length + reading.count
            state.table.commit(to: end, tokens: state.tokens, reach: state.reach, in: &pool)
            return
        }
        for beam in beams {
            guard let end = state.beams?.tables[beam].length else { continue }
            // Texts of a search are not made known beyond the prompt.
            state.beams?.tables[beam].commit(to: end + 1, tokens: state.tokens, reach: state.reach, in: &pool)
        }
    }

    private func advance(_ reading: Reading) {
        let state = reading.state
        if state.beams != nil {
            advanceBeams(state)
        } else if let next = state.next {
            state.next = nil
            accept(next, state)
        }
    }

    /// Goes on with a search once all its beams are read.
    private func advanceBeams(_ state: SequenceState) {
        guard var beams = state.beams, beams.logs.count == beams.search.beams.count else { return }
        state.beams = nil
        if beams.logs.contains(where: { $0.contains { !$0.isFinite && $0 != -.infinity } }) {
            state.beams = beams
            return finish(state, .failed(Self.notNumbers))
        }
        let old = beams.tables.isEmpty ? [state.table] : beams.tables
        beams.search.advance(beams.logs)
        beams.tables = beams.search.beams.map { old[$0.parent].forked(in: &pool) }
        beams.logs = []
        for var table in old { table.release(to: &pool) }
        state.table = PageTable()
        state.beams = beams
        state.result.generatedTokens += 1
        if let ranking = beams.search.ranking { finish(state, ranking: ranking) }
    }

    /// What is wrong with logits that no token can be chosen from.
    static let notNumbers = "the model's logits are not numbers: its weights or the context overflow"
}
