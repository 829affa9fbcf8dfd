import Bytes
import LogAddresses
import Messages
import Flows
import MessageLogs

extension FaultsVerification {
    /// Looks at everything once all is well again.
    func result(
        _ system: LocalSystem,
        _ bundle: String,
        _ broker: KafkaBroker?,
        _ schedule: FaultsSchedule,
        _ ledger: FaultsLedger,
        _ injector: FaultsInjector,
        _ watch: FaultsWatch,
        _ healedAfter: Duration
    ) async throws -> Result {
        let state = try system.state()
        let log = try await openLog(state.log)
        let contents = await ledger.contents
        let findings = try await FaultsCheck(log, database: state.database, bundle: bundle).run(contents)
        let answers = try await answerProblems(contents, log)
        var offsets: (problems: [String], forgotten: [String]) = ([], [])
        if let broker {
            offsets = try OffsetsHistory.steps(
                in: broker.topicFolder,
                groups: [ConsumerGroup.encoderWorker, ConsumerGroup.llmResponder],
                forgotten: broker.offsetPartitionsTakenUpTooEarly
            )
        }
        await log.close()
        return Result(
            seed: options.seed,
            seconds: options.duration / .seconds(1),
            faults: await injector.done,
            leftOut: await injector.skipped,
            restarts: state.processes.reduce(0) { $0 + $1.restarts },
            acknowledgedEvents: contents.acknowledged.count,
            repeatedRequests: contents.repeatedRequests,
            questions: contents.accepted.count,
            looks: await watch.looks,
            healedAfter: healedAfter / .seconds(1),
            findings: findings,
            forgottenOffsets: offsets.forgotten,
            problems: findings.problems + answers + offsets.problems + (await watch.problems)
                + (await injector.problems),
            schedule: schedule.faults
        )
    }

    /// One answer to each question that was acknowledged, none or one to the others.
    private func answerProblems(_ ledger: FaultsLedger.Contents, _ log: any MessageLog) async throws -> [String] {
        let answers = try await folding(Topic.answers.rawValue, of: log, into: [QuestionID: [String]]()) {
            guard let value = $1.value else { return }
            let answer = try Answer(decoding: value, contentType: $1.header(ContentType.header))
            $0[answer.questionID, default: []].append("\($1.place) (\(answer.status))")
        }
        var problems: [String] = []
        for id in ledger.accepted where answers[id] == nil { problems.append("question \(id) has no answer") }
        for id in answers.keys where !ledger.asked.contains(id) { problems.append("nobody asked question \(id)") }
        let doubled = answers.filter { $0.value.count > 1 }
        guard !doubled.isEmpty else { return problems }
        let questions = try await folding(Topic.questions.rawValue, of: log, into: [QuestionID: [String]]()) {
            guard let value = $1.value,
                let question = try? Question(decoding: value, contentType: $1.header(ContentType.header))
            else { return }
            $0[question.id, default: []].append($1.place)
        }
        for (id, places) in doubled {
            let asked = questions[id, default: []].joined(separator: ", ")
            problems.append(
                "question \(id) has \(places.count) answers: \(places.joined(separator: ", ")); asked \(asked)"
            )
        }
        return problems
    }
}

extension Record {
    /// Where it lies and since when, to find out what happened to it.
    fileprivate var place: String { "\(source)@\(offset) at \(timestamp)" }
}
