import Datasets
import UserModels

/// All users' events as the encoder reads them, with what trains, validates and tests.
struct Histories: Sendable {
    /// The data set.
    let dataset: PreparedDataset
    /// How events are turned into indices.
    let features: EventFeatures
    /// Every user's events, oldest first.
    let events: [[IndexedEvent]]

    /// Indexes a data set.
    init(_ dataset: PreparedDataset, features configuration: EventFeatures.Configuration) {
        self.dataset = dataset
        let features = EventFeatures(configuration: configuration, catalogue: dataset.catalogue)
        self.features = features
        events = dataset.users.indices.map { user in
            features.indexed(dataset.timeline(user: user, 0..<dataset.eventCount(ofUser: user)))
        }
    }

    /// How many events of each user train.
    var trainingCounts: [Int] { events.indices.map { dataset.trainingCount(ofUser: $0) } }

    /// The last `length` events before one of a user's.
    func before(_ index: Int, user: Int, length: Int) -> ArraySlice<IndexedEvent> {
        events[user][max(index - length, 0)..<index]
    }

    /// The event that validates, or the one that tests.
    func target(_ split: Split, user: Int) -> Int {
        events[user].count - (split == .validation ? 2 : 1)
    }
}

/// Which event of a user is to be predicted.
enum Split: String, Sendable {
    /// The last but one.
    case validation
    /// The last.
    case test
}
