import ServiceRuntime

/// How a data set is split into training, validation and test events.
///
/// Both protocols use a user's last event for the test and the one before it for validation. So a model that was
/// trained with one may be evaluated with the other without having seen the events it is asked about.
enum EvaluationProtocol: Sendable, Equatable {
    /// The standard in recommender systems: for users with at least three events, all but the last two are for
    /// training; the events of other users are only for training.
    case leaveOneOut
    /// The paper's protocol, for windows of `length` events.
    ///
    /// Only users with at least `length` + 2 events take part. Every window of their events but the last two is trained
    /// on, and a predicted event always has a full window before it.
    ///
    /// - Source: User-LLM, arXiv 2402.13598, part 4.
    case window(length: Int)

    /// The name in settings and results.
    enum Name: String, CaseIterable, Codable, Sendable, ConfigurationValue {
        case leaveOneOut = "leave-one-out"
        case window
    }

    /// The protocol with a name.
    ///
    /// - Parameters:
    ///   - name: as in a setting.
    ///   - length: the maximum number of events that the model reads.
    init(_ name: Name, length: Int) {
        switch name {
        case .leaveOneOut: self = .leaveOneOut
        case .window: self = .window(length: length)
        }
    }

    /// Its name.
    var name: Name {
        switch self {
        case .leaveOneOut: .leaveOneOut
        case .window: .window
        }
    }

    /// The minimum number of events for a user to be evaluated.
    var leastEvents: Int {
        switch self {
        case .leaveOneOut: 3
        case .window(let length): length + 2
        }
    }

    /// How many of a user's events are for training, counted from the first.
    func trainingCount(ofEvents count: Int) -> Int {
        if count >= leastEvents { return count - 2 }
        return self == .leaveOneOut ? count : 0
    }
}

/// The event of a user to predict.
enum Split: String, CaseIterable, Codable, Sendable, ConfigurationValue {
    /// The last but one.
    case validation
    /// The last.
    case test
}
