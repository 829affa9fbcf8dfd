import ServiceRuntime

/// How a data set is split into what trains, what validates and what tests.
///
/// In both a user's last event is the test and the one before it validates, so a model that was trained by one may be
/// evaluated by the other without having seen what it is asked for.
enum EvaluationProtocol: Sendable, Equatable {
    /// The recommenders' standard: of users with at least three events all but the last two train; the events of the
    /// others only train.
    case leaveOneOut
    /// The paper's, for windows of `length` events: only users with at least `length` + 2 events take part, every window
    /// of their events but the last two trains, and what is predicted always has a full window before it.
    ///
    /// - Source: User-LLM, arXiv 2402.13598, part 4.
    case window(length: Int)

    /// The name in settings and results.
    enum Name: String, CaseIterable, Codable, Sendable, ConfigurationValue {
        case leaveOneOut = "leave-one-out"
        case window
    }

    /// The protocol of a name.
    ///
    /// - Parameters:
    ///   - name: as in a setting.
    ///   - length: the most events that the model reads.
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

    /// Events a user must have to be asked about.
    var leastEvents: Int {
        switch self {
        case .leaveOneOut: 3
        case .window(let length): length + 2
        }
    }

    /// How many of a user's events train, the first ones.
    func trainingCount(ofEvents count: Int) -> Int {
        if count >= leastEvents { return count - 2 }
        return self == .leaveOneOut ? count : 0
    }
}

/// Which event of a user is to be predicted.
enum Split: String, CaseIterable, Codable, Sendable, ConfigurationValue {
    /// The last but one.
    case validation
    /// The last.
    case test
}
