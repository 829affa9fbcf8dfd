import Catalogues
import Datasets
import ServiceRuntime
import UserModels

/// All users' events as the encoder reads them, split for training, validation and test.
struct Histories: Sendable {
    /// The data set.
    let dataset: PreparedDataset
    /// How events are converted to indices.
    let features: EventFeatures
    /// Every user's events, oldest first.
    let events: [[IndexedEvent]]
    /// The split into training, validation and test events.
    let evaluationProtocol: EvaluationProtocol
    /// Users with an event to predict.
    let evaluatedUsers: [Int]
    /// The users among them that are used for validation.
    let validatedUsers: [Int]

    /// Indexes a data set.
    ///
    /// - Parameters:
    ///   - dataset: the users and their events.
    ///   - configuration: the event features to read.
    ///   - evaluationProtocol: the split into training, validation and test events.
    ///   - validationUsers: the number of users for validation, spread over all; 0 is all of them.
    init(
        _ dataset: PreparedDataset,
        features configuration: EventFeatures.Configuration,
        evaluationProtocol: EvaluationProtocol = .leaveOneOut,
        validationUsers: Int = 0
    ) {
        self.dataset = dataset
        self.evaluationProtocol = evaluationProtocol
        let features = EventFeatures(configuration: configuration, catalogue: dataset.catalogue)
        self.features = features
        events = dataset.users.indices.map { user in
            features.indexed(dataset.timeline(user: user, 0..<dataset.eventCount(ofUser: user)))
        }
        let evaluated = dataset.users.indices.filter {
            dataset.eventCount(ofUser: $0) >= evaluationProtocol.leastEvents
        }
        evaluatedUsers = evaluated
        validatedUsers = Self.spread(validationUsers == 0 ? evaluated.count : validationUsers, evaluated)
    }

    /// The number of training events of each user.
    var trainingCounts: [Int] { events.map { evaluationProtocol.trainingCount(ofEvents: $0.count) } }

    /// How often each item occurs in training.
    var itemCounts: [Int] {
        var counts = [Int](repeating: 0, count: dataset.catalogue.count)
        for (user, count) in trainingCounts.enumerated() {
            for event in events[user].prefix(count) { counts[Int(event.item)] += 1 }
        }
        return counts
    }

    /// The order in which windows of training events are trained on.
    ///
    /// - Parameters:
    ///   - length: the maximum number of events read per window.
    ///   - seed: the seed of the order.
    /// - Returns: the schedule; some user must have two training events, see `checkTrainable`.
    func schedule(length: Int, seed: UInt64) -> WindowSchedule {
        WindowSchedule(
            counts: trainingCounts,
            length: length,
            seed: seed,
            cut: evaluationProtocol == .leaveOneOut ? .endToEnd : .everyWindow
        )
    }

    /// Refuses a data set that has no event to predict.
    ///
    /// - Throws: `ProcessFailure` with the longest history and how many events are needed.
    func checkEvaluable() throws {
        guard evaluatedUsers.isEmpty else { return }
        let longest = events.map(\.count).max() ?? 0
        let needed = evaluationProtocol.leastEvents
        let way = evaluationProtocol == .leaveOneOut ? "" : ", train with a smaller --length, or by another --protocol"
        throw ProcessFailure(
            "nobody can be asked about: by the protocol \(evaluationProtocol.name.rawValue) a user needs \(needed) events, "
                + "and the longest history of the data set's \(events.count) users has \(longest); prepare a data set with "
                + "longer histories\(way)",
            exitCode: .badInput
        )
    }

    /// Refuses a data set without training events or without validation events.
    ///
    /// - Throws: `ProcessFailure` with the longest history and how many events are needed.
    func checkTrainable() throws {
        try checkEvaluable()
        let longest = events.map(\.count).max() ?? 0
        let needed = evaluationProtocol.leastEvents
        guard trainingCounts.contains(where: { $0 >= 2 }) else {
            throw ProcessFailure(
                "nothing can be learnt: none of the data set's \(events.count) users has two events that train; "
                    + "of \(needed) events or more the last two validate and test, and the longest history has "
                    + "\(longest); prepare a data set with longer histories",
                exitCode: .badInput
            )
        }
    }

    /// So many of the users with an event to predict, spread over all; all of them by default.
    func evaluatedUsers(atMost limit: Int?) -> [Int] {
        Self.spread(limit ?? evaluatedUsers.count, evaluatedUsers)
    }

    private static func spread(_ limit: Int, _ users: [Int]) -> [Int] {
        let count = min(limit, users.count)
        return (0..<count).map { users[$0 * users.count / count] }
    }

    /// Up to `length` events of a user that come just before the given one.
    func before(_ index: Int, user: Int, length: Int) -> ArraySlice<IndexedEvent> {
        events[user][max(index - length, 0)..<index]
    }

    /// The validation event or the test event of a user.
    func target(_ split: Split, user: Int) -> Int {
        events[user].count - (split == .validation ? 2 : 1)
    }
}
