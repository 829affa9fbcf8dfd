import Catalogues
import Datasets
import ServiceRuntime
import UserModels

/// All users' events as the encoder reads them, with what trains, validates and tests.
struct Histories: Sendable {
    /// The data set.
    let dataset: PreparedDataset
    /// How events are turned into indices.
    let features: EventFeatures
    /// Every user's events, oldest first.
    let events: [[IndexedEvent]]
    /// What trains, validates and tests.
    let evaluationProtocol: EvaluationProtocol
    /// Users with an event to predict.
    let evaluatedUsers: [Int]
    /// The users among them that a training is validated on.
    let validatedUsers: [Int]

    /// Indexes a data set.
    ///
    /// - Parameters:
    ///   - dataset: the users and their events.
    ///   - configuration: which features of an event are read.
    ///   - evaluationProtocol: what trains, validates and tests.
    ///   - validationUsers: on how many users a training is validated, spread over all; 0 is all of them.
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
        let count = validationUsers == 0 ? evaluated.count : min(validationUsers, evaluated.count)
        validatedUsers = (0..<count).map { evaluated[$0 * evaluated.count / count] }
    }

    /// How many events of each user train.
    var trainingCounts: [Int] { events.map { evaluationProtocol.trainingCount(ofEvents: $0.count) } }

    /// How often each item occurs in training.
    var itemCounts: [Int] {
        var counts = [Int](repeating: 0, count: dataset.catalogue.count)
        for (user, count) in trainingCounts.enumerated() {
            for event in events[user].prefix(count) { counts[Int(event.item)] += 1 }
        }
        return counts
    }

    /// The order in which windows of training events are learnt from.
    ///
    /// - Parameters:
    ///   - length: the most events of a window that are read.
    ///   - seed: of the order.
    /// - Returns: the schedule; there must be a user with two events that train, see `checkTrainable`.
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

    /// Refuses a data set that has nothing to learn from, or nothing to validate on.
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

    /// The last `length` events before one of a user's.
    func before(_ index: Int, user: Int, length: Int) -> ArraySlice<IndexedEvent> {
        events[user][max(index - length, 0)..<index]
    }

    /// The event that validates, or the one that tests.
    func target(_ split: Split, user: Int) -> Int {
        events[user].count - (split == .validation ? 2 : 1)
    }
}
