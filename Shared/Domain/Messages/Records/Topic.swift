/// The topics of the system, and how each is kept.
public enum Topic: String, Sendable, CaseIterable {
    /// `Event` records.
    case userEvents = "user-events"
    /// `Timeline` records, the encoder worker's state, and `ForgottenMarks`.
    case userTimelines = "user-timelines"
    /// `UserEmbedding` records.
    case userEmbeddings = "user-embeddings"
    /// `Question` records.
    case questions
    /// `Answer` records.
    case answers
    /// `AnswerToken` records.
    case answerTokens = "answer-tokens"

    /// What becomes of old records.
    public enum Cleanup: Sendable, Equatable {
        /// Deleted after this long.
        case delete(after: Duration)
        /// The newest record of each key stays; an empty value deletes the key.
        case compact
    }

    /// How this topic's old records are cleaned up.
    public var cleanup: Cleanup {
        switch self {
        case .userEvents: .delete(after: .seconds(7 * 86_400))
        case .userTimelines, .userEmbeddings: .compact
        case .questions, .answers: .delete(after: .seconds(86_400))
        case .answerTokens: .delete(after: .seconds(600))
        }
    }

    /// Where a reader sends records of this topic that it cannot read.
    public var rejected: String { Self.rejected(rawValue) }

    /// How long rejected records stay.
    public static let rejectedRetention: Duration = .seconds(30 * 86_400)
}
