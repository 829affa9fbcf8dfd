/// The resources that one answer may use.
///
/// The caller chooses how many items are ranked and how many tokens are written. That alone must not decide how long
/// the model works on one question, nor how much memory it takes.
public struct AnswerLimits: Sendable {
    /// Maximum time from an answer's submission to its end.
    ///
    /// It is looked at before each step of the engine, and a step's work is bounded.
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
