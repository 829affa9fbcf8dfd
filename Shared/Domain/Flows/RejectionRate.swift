public import ServiceRuntime

/// The share of a minute's input that a service may reject.
public enum RejectedShare: Sendable, Equatable, ConfigurationValue {
    /// More than this, from 0 to 1, stops the service.
    case upTo(Double)
    /// It continues however much it rejects.
    case off

    /// `share|off`.
    public static var typeDescription: String { "share|off" }
    /// A share in either form, or `off`.
    public static var expectedText: String { "a share from 0 to 1, such as 0.01 or 1%, or off" }

    /// Reads `0.01`, `1%` or `off`.
    public init?(configurationText: String) {
        guard configurationText != "off" else {
            self = .off
            return
        }
        let isPercentage = configurationText.hasSuffix("%")
        guard let number = Double(isPercentage ? String(configurationText.dropLast()) : configurationText) else {
            return nil
        }
        let share = isPercentage ? number / 100 : number
        guard share >= 0, share <= 1 else { return nil }
        self = .upTo(share)
    }

    /// As it is read.
    public var configurationText: String {
        switch self {
        case .upTo(let share): "\(share)"
        case .off: "off"
        }
    }
}

/// Stops a service that rejects more than one record in a hundred: that is a bad deployment, not bad data.
///
/// It stops after the batch that exceeded the limit is committed, together with its rejected records. A restarted
/// service therefore continues after them, and one that is stopped again by the next batch has still made one batch of
/// progress.
public struct RejectionRate: Sendable {
    private struct Second {
        let number: Int64
        var received: Int
        var rejected: Int
    }

    private let share: RejectedShare
    private let minimumCount: Int
    private let start = ContinuousClock.now
    private var seconds: [Second] = []

    /// Makes a rule.
    ///
    /// - Parameters:
    ///   - share: of a minute's input, that may be rejected.
    ///   - minimumCount: this many rejected records within a minute are always tolerated, so that one bad record in a
    ///     quiet hour stops nothing.
    public init(share: RejectedShare = .upTo(0.01), minimumCount: Int = 20) {
        self.share = share
        self.minimumCount = minimumCount
    }

    /// Counts a batch.
    ///
    /// - Parameters:
    ///   - received: how many records came.
    ///   - rejected: how many of them could not be used.
    ///   - lastReason: why the last could not.
    ///   - now: the current time.
    /// - Returns: why the service must stop when the minute that ends now has too many, else nil. First commit the
    ///   batch with its rejected records, then throw this.
    public mutating func count(
        received: Int,
        rejected: Int,
        lastReason: String?,
        now: ContinuousClock.Instant = .now
    ) -> ProcessFailure? {
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
        guard let limit = limit(exceededBy: bad, of: input) else { return nil }
        return ProcessFailure(
            "\(bad) of the last minute's \(input) records were rejected, more than \(limit): "
                + "stopped, because this looks like a wrong producer or version rather than wrong records. "
                + "The last reason: \(lastReason ?? "none"). What was read is dealt with and kept with its reasons in the "
                + "topic of the rejected, so a start goes on behind it. Fix the producer and start again, or set "
                + "--rejected-share to what is to be borne, off for everything",
            exitCode: .badInput
        )
    }

    /// The share, for people, when this many bad records exceed it; nil when they are tolerated.
    public func limit(exceededBy bad: Int, of all: Int) -> String? {
        guard case .upTo(let limit) = share, bad > minimumCount, Double(bad) > limit * Double(all) else { return nil }
        return Self.percent(limit)
    }

    private static func percent(_ share: Double) -> String {
        let percent = (share * 10_000).rounded() / 100
        return percent == percent.rounded() ? "\(Int(percent)) %" : "\(percent) %"
    }
}
