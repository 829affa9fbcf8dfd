public import ServiceRuntime

/// Stops a service that rejects more than one record in a hundred: that is a bad deployment, not bad data.
public struct RejectionRate: Sendable {
    private struct Second {
        let number: Int64
        var received: Int
        var rejected: Int
    }

    private let limit: Double
    private let minimumCount: Int
    private let start = ContinuousClock.now
    private var seconds: [Second] = []

    /// Makes a rule.
    ///
    /// - Parameters:
    ///   - limit: the share of a minute's input that may be rejected.
    ///   - minimumCount: as many rejected records within a minute are always borne, so that one bad record in a quiet
    ///     hour stops nothing.
    public init(limit: Double = 0.01, minimumCount: Int = 20) {
        self.limit = limit
        self.minimumCount = minimumCount
    }

    /// Counts a batch.
    ///
    /// - Parameters:
    ///   - received: how many records came.
    ///   - rejected: how many of them could not be used.
    ///   - lastReason: why the last could not.
    ///   - now: the present.
    /// - Throws: `ProcessFailure` when the minute that ends now has too many; the batch must then not be committed.
    public mutating func record(
        received: Int,
        rejected: Int,
        lastReason: String?,
        now: ContinuousClock.Instant = .now
    ) throws(ProcessFailure) {
        let number = Int64((now - start) / .seconds(1))
        seconds.removeAll { $0.number <= number - 60 }
        if seconds.last?.number == number {
            seconds[seconds.count - 1].received += received
            seconds[seconds.count - 1].rejected += rejected
        } else {
            seconds.append(Second(number: number, received: received, rejected: rejected))
        }
        let input = seconds.reduce(0) { $0 + $1.received }
        let bad = seconds.reduce(0) { $0 + $1.rejected }
        guard bad > minimumCount, Double(bad) > limit * Double(input) else { return }
        throw ProcessFailure(
            "\(bad) of the last minute's \(input) records were rejected, more than \(Int((limit * 100).rounded())) %: "
                + "stopped, because this looks like a wrong producer or version rather than wrong records. "
                + "The last reason: \(lastReason ?? "none"). Fix the producer, then start again",
            exitCode: .badInput
        )
    }
}
