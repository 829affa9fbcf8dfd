extension Engine {
    /// What a pass reads of a sequence.
    struct Reading {
        let state: SequenceState
        /// Positions of the text, from the first that is not read yet; 0 for beams.
        var count = 0
        /// Beams that are read, a position each; nil before the prompt is read.
        var beams: Range<Int>?

        var positionCount: Int { count + (beams?.count ?? 0) }
    }

    /// Chooses what the next pass reads, and reserves pages for it: first a token of each running answer, then beams
    /// and prompts; the oldest first.
    ///
    /// A long prompt or a wide search takes half of what is left while there are younger ones, and more only of what
    /// those leave: otherwise a single question could hold up all others for seconds.
    func plan() -> [Reading] {
        var readings: [Reading] = []
        var budget = configuration.positionsPerStep
        for state in running where isAnswering(state) && budget > 0 {
            add(Reading(state: state, count: 1), to: &readings, &budget)
        }
        for state in running where isRunning(state) && !isAnswering(state) && budget > 0 {
            let isLast = state === running.last && waiting.isEmpty
            let share = isLast ? budget : half(budget)
            if let reading = next(of: state, share, after: readings) { add(reading, to: &readings, &budget) }
        }
        while budget > 0, running.count < configuration.maximumRunning, let state = waiting.first {
            guard start(state) else { break }
            if !isRunning(state) { continue }
            let share = waiting.isEmpty ? budget : half(budget)
            if let reading = next(of: state, share, after: readings) { add(reading, to: &readings, &budget) }
        }
        for index in readings.indices where budget > 0 { widen(&readings[index], &budget) }
        return readings
    }

    /// Half of a budget, but no less than a page.
    private func half(_ budget: Int) -> Int { max(min(budget, pool.positions), budget / 2) }

    private func isRunning(_ state: SequenceState) -> Bool { running.contains { $0 === state } }

    /// Whether a sequence needs one position for its next token.
    private func isAnswering(_ state: SequenceState) -> Bool {
        state.pendingCount == 1 && state.table.length >= state.softCount + state.request.tokens.count
    }

    /// The next piece of a prompt or of a beam search; nil if it waits for another sequence.
    private func next(of state: SequenceState, _ budget: Int, after readings: [Reading]) -> Reading? {
        if let beams = state.beams, !beams.tables.isEmpty {
            return Reading(state: state, beams: beams.pending.prefix(budget))
        }
        _ = extend(state)
        if readings.contains(where: { isReadByAnother(state, $0) }) { return nil }
        return Reading(state: state, count: min(state.pendingCount, budget))
    }

    /// Whether a pass reads the next page of this text for another sequence: then it need not be read twice.
    private func isReadByAnother(_ state: SequenceState, _ reading: Reading) -> Bool {
        let other = reading.state
        let (start, end) = (state.table.length, state.table.length + pool.positions)
        guard start % pool.positions == 0, end < state.tokens.count, other !== state else { return false }
        guard other.table.length <= start, other.table.length + reading.count >= end else { return false }
        guard other.reach.identity(before: end) == state.reach.identity(before: end) else { return false }
        return other.tokens[..<end] == state.tokens[..<end]
    }

    /// Takes pages of the prefix cache; the last token is always read, since it gives the first logits.
    private func extend(_ state: SequenceState) -> Int {
        state.table.extend(with: state.tokens, before: state.tokens.count - 1, reach: state.reach, in: &pool)
    }

    /// Starts the first waiting sequence if there are pages for its whole text.
    ///
    /// One whose answer needs no reading, or for whose context there is no memory, ends at once.
    ///
    /// - Returns: false when it has to wait.
    private func start(_ state: SequenceState) -> Bool {
        let found = extend(state)
        let needed = state.table.neededCount(to: state.tokens.count + 1, in: pool)
        // Running sequences will want a page each before long; one that is alone gets what there is.
        guard running.isEmpty || needed + running.count <= pool.availableCount else {
            state.table.release(to: &pool)
            return false
        }
        if let context = state.request.context, state.context == nil {
            do throws(EngineError) {
                state.context = try runner.prepare(context: context)
            } catch {
                finish(state, .failed("\(error)"))
                return true
            }
        }
        waiting.removeFirst()
        let place = running.firstIndex { $0.id > state.id } ?? running.count
        running.insert(state, at: place)
        if !state.isStarted {
            state.isStarted = true
            state.result.cachedTokens = max(0, found - state.softCount)
            state.result.waitingTime = now() - state.submitted
            counts.promptTokens += state.request.tokens.count
            counts.cachedPromptTokens += state.result.cachedTokens
            counts.prefixHits += found > 0 ? 1 : 0
            finishCertainAnswer(state)
        }
        return true
    }

    /// Reserves pages and adds a reading, unless the sequence itself has to make room for an older one.
    private func add(_ reading: Reading, to readings: inout [Reading], _ budget: inout Int) {
        let state = reading.state
        while isRunning(state) {
            if reserve(reading) {
                readings.append(reading)
                budget -= reading.positionCount
                return
            }
            guard let youngest = running.last else { return }
            preempt(youngest)
            for gone in readings where gone.state === youngest { budget += gone.positionCount }
            readings.removeAll { $0.state === youngest }
        }
    }

    /// Lets a reading have more of its sequence, as far as pages are free.
    private func widen(_ reading: inout Reading, _ budget: inout Int) {
        let state = reading.state
        var wider = reading
        if let beams = reading.beams {
            wider.beams = state.beams?.pending.prefix(beams.count + budget)
        } else {
            wider.count = min(state.pendingCount, reading.count + budget)
        }
        guard wider.positionCount > reading.positionCount, reserve(wider) else { return }
        budget -= wider.positionCount - reading.positionCount
        reading = wider
    }

    private func reserve(_ reading: Reading) -> Bool {
        let state = reading.state
        let storage = runner.storage
        func copy(_ from: PagePool.Page, _ to: PagePool.Page) { storage.copy(from, to: to) }
        guard let beams = reading.beams else {
            return state.table.reserve(to: state.table.length + reading.count, in: &pool, copy: copy)
        }
        for beam in beams {
            guard let length = state.beams?.tables[beam].length else { return false }
            guard state.beams?.tables[beam].reserve(to: length + 1, in: &pool, copy: copy) == true else { return false }
        }
        return true
    }

    /// Takes the pages of a running sequence, which waits then to begin again.
    private func preempt(_ state: SequenceState) {
        state.releasePages(to: &pool)
        state.restartSearch()
        running.removeAll { $0 === state }
        let place = waiting.firstIndex { $0.id > state.id } ?? waiting.count
        waiting.insert(state, at: place)
        state.result.preemptions += 1
        counts.preemptions += 1
    }
}
