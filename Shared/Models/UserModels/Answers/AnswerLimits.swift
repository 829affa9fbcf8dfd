/// The resources that one answer may use.
///
/// The caller chooses how many items are ranked and how many tokens are written. That alone must not decide how long
/// the model works on one question, nor how much memory it takes.
public struct AnswerLimits: Sendable {
    /// Maximum computing time.
    ///
    /// The time is checked before each block of the language model, so the computation stops soon after it has run out.
    public var time: Duration
    /// Maximum size of the keys and values of the tokens read for the answer, in bytes.
    public var byteCount: Int
    /// The clock.
    public var now: @Sendable () -> ContinuousClock.Instant

    /// Makes limits.
    public init(
        time: Duration,
        byteCount: Int,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.time = time
        self.byteCount = byteCount
        self.now = now
    }

    /// No limits, for questions that do not come from outside.
    public static let none = AnswerLimits(time: .seconds(1_000_000_000), byteCount: .max)
}

/// Why decoding stopped before the answer was complete.
enum DecodingStop: Error {
    /// The time limit of one answer was exceeded.
    case timeIsOver
    /// The task was cancelled.
    case cancelled
}

/// Checks the time limit of one answer.
struct AnswerTimer: Sendable {
    private let end: ContinuousClock.Instant
    private let now: @Sendable () -> ContinuousClock.Instant

    /// Starts the timer.
    init(_ limits: AnswerLimits) {
        now = limits.now
        end = limits.now() + limits.time
    }

    /// Throws when the time is up or the task was cancelled.
    func check() throws(DecodingStop) {
        if Task.isCancelled { throw .cancelled }
        if now() >= end { throw .timeIsOver }
    }
}
