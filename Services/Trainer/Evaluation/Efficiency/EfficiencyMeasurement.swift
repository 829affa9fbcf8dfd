import Datasets
import LanguageEngine
import ServiceRuntime
import UserModels

/// What is measured, and how.
struct EfficiencySettings: Sendable {
    /// Lengths of timelines, in events.
    var lengths = [50, 100, 200, 1_000, 2_000]
    /// Users of each length.
    var users = 4
    /// How often each user is measured.
    var rounds = 3
    var threads = 1
    var weights = WeightFormat.int8
    var cacheFormat = CacheFormat.bfloat16
    var seed: UInt64 = 1
    /// llama.cpp beside our engine; nil for our engine alone.
    var llamaBench: LlamaBench?
}

/// Measures what users' contexts cost as text and as embeddings, both sides in turn.
struct EfficiencyMeasurement {
    /// The users of one length of timeline, and what is measured of them.
    private struct Group {
        var column: EfficiencyColumn
        let subjects: [EfficiencySubject]
        let encoder: EncodingEngine
    }

    private let runner: EfficiencyRunner
    private let settings: EfficiencySettings
    private let question: [Int32]
    /// How many tokens all text prompts begin with.
    private let commonTokens: Int
    private var groups: [Group] = []
    private let longest: Int
    private let shutdown: Shutdown

    /// Chooses users and writes their prompts.
    ///
    /// - Throws: `ProcessFailure` when nobody has as many events as the shortest length, or the language model has no room
    ///   for a prompt.
    init(
        _ bundle: ModelBundle,
        _ dataset: PreparedDataset,
        _ settings: EfficiencySettings,
        until shutdown: Shutdown
    ) throws {
        (self.settings, self.shutdown) = (settings, shutdown)
        longest = dataset.users.indices.map { dataset.eventCount(ofUser: $0) }.max() ?? 0
        guard let shortest = settings.lengths.min(), shortest <= longest else {
            throw ProcessFailure(
                "nobody can be measured: the longest timeline of the data set has \(longest) events, and the shortest of "
                    + "--lengths is \(settings.lengths.min() ?? 0)",
                exitCode: .badInput
            )
        }
        runner = try EfficiencyRunner(bundle, settings, until: shutdown)
        let room = runner.context - EfficiencyRunner.answerTokens - runner.shape.adapter.contextPositions
        question = bundle.format.prompt(UserTask.nextTitle.trainingPhrasings[0])
        guard question.count <= room else {
            throw ProcessFailure(
                "the language model reads \(runner.context) positions: no room for a question of \(question.count) tokens "
                    + "and an answer of \(EfficiencyRunner.answerTokens)",
                exitCode: .badInput
            )
        }
        let text = TimelineText(format: bundle.format, catalogue: bundle.catalogue)
        for length in settings.lengths {
            let (users, available) = EfficiencySubject.users(of: dataset, withEvents: length, count: settings.users)
            let subjects = try users.map { user in
                let count = dataset.eventCount(ofUser: user)
                let timeline = dataset.timeline(user: user, count - length..<count)
                return try EfficiencySubject(timeline, text: text, tokens: room)
            }
            var column = EfficiencyColumn(events: length, availableUsers: available, users: users.count)
            column.isTextCut = subjects.contains(where: \.isCut)
            let encoder = try runner.encoder(length: length)
            groups.append(Group(column: column, subjects: subjects, encoder: encoder))
        }
        // Prompts of different users have the beginning in common, and nothing after it that could be shared on purpose.
        commonTokens = text.overhead(of: .nextTitle)
    }

    /// Measures all lengths, round by round.
    ///
    /// - Returns: the figures; what they were measured on is for the caller to add.
    /// - Throws: `ProcessFailure` when it was stopped, or an answer could not be computed.
    mutating func run() throws -> EfficiencyTable {
        let total = settings.rounds * groups.reduce(0) { $0 + $1.subjects.count }
        let bar = ProgressBar("measuring", total: total, unit: "users")
        try warmUp()
        var done = 0
        for index in groups.indices {
            for subject in groups[index].subjects { count(subject, index) }
        }
        for _ in 0..<settings.rounds {
            for index in groups.indices {
                for subject in groups[index].subjects {
                    try measure(subject, index)
                    done += 1
                    bar.update(done)
                }
                try measureLlama(index)
            }
        }
        bar.finish()
        var table = EfficiencyTable(columns: groups.map(\.column))
        (table.longestTimeline, table.context) = (longest, runner.context)
        return table
    }

    /// Touches all weights and buffers once.
    private func warmUp() throws {
        for group in groups {
            guard let subject = group.subjects.first else { continue }
            _ = try runner.answer(question, by: group.encoder, subject, tokens: 4)
            _ = try runner.answer(runner.marked(Array(subject.prompt.prefix(256))), tokens: 4)
        }
    }

    /// Counts what needs no clock.
    private mutating func count(_ subject: EfficiencySubject, _ index: Int) {
        var shape = runner.shape
        let (events, tokens) = (subject.timeline.count, subject.prompt.count)
        shape.encoder.length = events
        func flops(_ multiplyAdds: Int) -> Double { 2 * Double(multiplyAdds) }
        func text(_ tokens: Int, known: Int = 0) -> Double {
            flops(AnswerCost(tokens: tokens, known: known, model: shape.languageModel).total)
        }
        func add(_ metric: EfficiencyMetric, _ value: Double) { groups[index].column.add(metric, value) }
        let cost = AnswerCost(tokens: question.count, events: events, model: shape)
        add(.textTokens, Double(subject.allTokens))
        add(.textTokensRead, Double(tokens))
        add(.textEventsRead, Double(subject.promptEvents))
        add(.questionTokens, Double(question.count))
        add(.textFLOPs, text(tokens))
        add(.wholeTextFLOPs, text(subject.allTokens))
        add(.freshFLOPs, flops(cost.total))
        add(.rowFLOPs, flops(cost.withoutEncoding))
        if runner.sharesQuestions {
            let known = AnswerCost(
                tokens: question.count,
                known: runner.known(question.count),
                events: events,
                model: shape
            )
            add(.knownTextFLOPs, text(tokens, known: runner.known(commonTokens + 1)))
            add(.knownFreshFLOPs, flops(known.total))
            add(.knownRowFLOPs, flops(known.withoutEncoding))
        }
        add(.eventTokens, Double(subject.lastLine.count))
        add(.textBytes, Double(subject.textByteCount))
        add(.cacheFloat32, Double(runner.cacheByteCount(positions: tokens, .float32)))
        add(.cacheBFloat16, Double(runner.cacheByteCount(positions: tokens, .bfloat16)))
        add(.cacheInt8, Double(runner.cacheByteCount(positions: tokens, .int8)))
        add(.rowBytes, Double(runner.rowByteCount))
    }

    /// Measures a user once, text and embedding one after the other.
    private mutating func measure(_ subject: EfficiencySubject, _ index: Int) throws {
        let (encoder, answer) = (groups[index].encoder, EfficiencyRunner.answerTokens)
        func add(_ metric: EfficiencyMetric, _ value: Double) { groups[index].column.add(metric, value) }

        let prompt = runner.marked(subject.prompt)
        let text = try checked(runner.answer(prompt, tokens: answer), known: 0)
        add(.textFirst, text.first)
        add(.text16, text.end(of: 16))
        add(.text64, text.end(of: answer))
        // Its keys and values are known now: first all of it, then all but the newest event.
        add(.cachedFirst, try checked(runner.answer(prompt, tokens: 1), known: runner.known(prompt.count)).first)
        let before = (prompt.count - subject.lastLine.count) / runner.pagePositions * runner.pagePositions
        let extended = Array(prompt.prefix(before)) + runner.marked(subject.lastLine)
        add(.eventTime, try checked(runner.answer(extended, tokens: 1), known: before).first)

        let fresh = try checked(
            runner.answer(runner.marked(question), by: encoder, subject, tokens: answer),
            known: 0
        )
        add(.freshFirst, fresh.first)
        add(.fresh16, fresh.end(of: 16))
        add(.fresh64, fresh.end(of: answer))
        let start = ContinuousClock.now
        let row = encoder.encode([subject.timeline])[0].context
        add(.refreshTime, (ContinuousClock.now - start).inSeconds)
        let ready = try checked(runner.answer(runner.marked(question), row: row, tokens: answer), known: 0)
        add(.rowFirst, ready.first)
        add(.row16, ready.end(of: 16))
        add(.row64, ready.end(of: answer))

        guard runner.sharesQuestions else { return }
        try measureKnown(subject, row, index)
    }

    /// The same where what all users' prompts have in common was read before.
    private mutating func measureKnown(_ subject: EfficiencySubject, _ row: [Float], _ index: Int) throws {
        let encoder = groups[index].encoder
        func add(_ metric: EfficiencyMetric, _ value: Double) { groups[index].column.add(metric, value) }
        let common = runner.known(commonTokens + 1)
        _ = try runner.answer(Array(subject.prompt.prefix(common)) + [0], tokens: 1)
        let prompt = runner.marked(subject.prompt, at: common)
        add(.knownTextFirst, try checked(runner.answer(prompt, tokens: 1), known: common).first)

        let shared = runner.known(question.count)
        _ = try runner.answer(question, row: row.map { -$0 }, tokens: 1)
        let fresh = try runner.answer(question, by: encoder, subject, tokens: 1)
        add(.knownFreshFirst, try checked(fresh, known: shared).first)
        let ready = try runner.answer(question, row: row, tokens: 1)
        add(.knownRowFirst, try checked(ready, known: shared).first)
    }

    /// What was measured, if as much of it was known as should have been.
    private func checked(_ times: EfficiencyRunner.Times, known: Int) throws -> EfficiencyRunner.Times {
        guard times.cachedTokens == known else {
            throw ProcessFailure("\(times.cachedTokens) tokens were known in place of \(known): nothing was measured")
        }
        return times
    }

    private mutating func measureLlama(_ index: Int) throws {
        guard let bench = settings.llamaBench else { return }
        let tokens = EfficiencyColumn.median(groups[index].subjects.map { Double($0.prompt.count) })
        guard let tokens else { return }
        let times = try bench.times(
            promptTokens: Int(tokens),
            answerTokens: EfficiencyRunner.answerTokens,
            until: shutdown
        )
        groups[index].column.add(.llamaFirst, times.reading)
        groups[index].column.add(.llama64, times.reading + times.writing)
    }
}
