import Catalogues
import Datasets
import UserModels

/// What is asked about the held-out events of a data set's users, whatever the language model reads of them.
struct TestQuestions: Sendable {
    let histories: Histories
    /// Users who count.
    let users: [Int]
    /// Users whose first answers are kept, whether or not they count.
    let shownUsers: [Int]
    let tasks: AnswerTasks

    var dataset: PreparedDataset { histories.dataset }
    /// Whether titles or categories are asked for.
    var asksForKnownAnswers: Bool { tasks.contains(.nextTitle) || tasks.contains(.favouriteCategory) }

    /// Chooses the users.
    ///
    /// - Parameters:
    ///   - dataset: whose users are asked about.
    ///   - features: what is read of their events.
    ///   - limit: the most users, spread over all; nil for all.
    ///   - tasks: what is asked for.
    /// - Throws: `ProcessFailure` if the data set has nothing to ask for.
    init(
        _ dataset: PreparedDataset,
        features: EventFeatures.Configuration = EventFeatures.Configuration(),
        users limit: Int? = nil,
        tasks: AnswerTasks = AnswerTasks()
    ) throws {
        try tasks.check(dataset)
        let histories = Histories(dataset, features: features)
        try histories.checkEvaluable()
        (self.histories, self.tasks) = (histories, tasks)
        users = histories.evaluatedUsers(atMost: limit)
        shownUsers = histories.evaluatedUsers(atMost: AnswerExample.userCount)
    }

    /// The number of a user's held-out event, which follows those that may be known.
    func heldOutEvent(of user: Int) -> Int { dataset.eventCount(ofUser: user) - 1 }

    /// The item of a user's held-out event.
    func target(of user: Int) -> Int { dataset.item(user: user, heldOutEvent(of: user)) }

    /// The items that a user has had before.
    ///
    /// Without the target: an item that was had before can be the next one all the same, as in the encoder's ranking.
    func seen(by user: Int) -> Set<Int> {
        let items = (0..<heldOutEvent(of: user)).map { dataset.item(user: user, $0) }
        return Set(items).subtracting([target(of: user)])
    }

    /// A report on the answers, with what was asked of whom and how long it took.
    func report(_ fill: (inout Report) throws -> Void) rethrows -> Report {
        let start = ContinuousClock.now
        var report = Report()
        report.add("protocol", EvaluationProtocol.leaveOneOut.name.rawValue)
        report.add("split", Split.test.rawValue)
        report.add("items", dataset.catalogue.count)
        report.add("data_hash", dataset.dataHash)
        report.add("users", users.count)
        try fill(&report)
        report.add("seconds", (ContinuousClock.now - start).inSeconds)
        report.add("commit", SourceCommit.current)
        return report
    }
}
