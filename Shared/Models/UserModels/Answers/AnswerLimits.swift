/// What one answer may take.
///
/// Whoever asks chooses how many items are ranked and how many tokens are written. That alone must not decide how long the
/// model works for one question, nor how much memory it takes.
public struct AnswerLimits: Sendable {
    /// How long it may be computed.
    ///
    /// The time is looked at before each block of the language model, so it ends soon after.
    public var time: Duration
    /// What the keys and values of the tokens may take that were read for it, in bytes.
    public var byteCount: Int
    /// What time it is.
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

    /// None, where nobody outside asks.
    public static let none = AnswerLimits(time: .seconds(1_000_000_000), byteCount: .max)
}

/// Why a decoding ends before its answer is there.
enum DecodingStop: Error {
    /// The time that one answer may take is over.
    case timeIsOver
    /// The task was cancelled.
    case cancelled
}

/// Looks at the time that one answer takes.
struct AnswerTimer: Sendable {
    private let end: ContinuousClock.Instant
    private let now: @Sendable () -> ContinuousClock.Instant

    /// Begins now.
    init(_ limits: AnswerLimits) {
        now = limits.now
        end = limits.now() + limits.time
    }

    /// Throws when there is no time left, or nobody waits any more.
    func check() throws(DecodingStop) {
        if Task.isCancelled { throw .cancelled }
        if now() >= end { throw .timeIsOver }
    }
}
