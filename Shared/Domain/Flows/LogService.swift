public import MessageLogs
public import Messages
public import ServiceRuntime

/// Keeps a service's log open until everything that uses it has ended, and closes it then.
public struct LogService: Service {
    /// `log`.
    public let name = "log"
    private let log: any MessageLog
    private let meanwhile: @Sendable (Shutdown) async -> Void

    /// Makes the service of a log that is its own.
    public init(_ log: any MessageLog) {
        self.log = log
        meanwhile = { await $0.requested() }
    }

    /// Makes the service of a log that is its own, and shows how much a group still has to read.
    ///
    /// - Parameters:
    ///   - log: the log.
    ///   - group: the group that the service is a member of.
    ///   - topic: the topic it reads.
    ///   - metrics: where the lag is shown.
    ///   - unread: the part of the group's lag that no member has read; by default all of it.
    public init(
        _ log: any MessageLog,
        lagOf group: String,
        in topic: Topic,
        shownBy metrics: StreamMetrics,
        unread: @escaping @Sendable ([TopicPartition: Int64]) -> [TopicPartition: Int64] = { $0 }
    ) {
        self.log = log
        meanwhile = { shutdown in
            await metrics.watchLag(until: shutdown) { unread(try await log.lags(group: group, topic: topic.rawValue)) }
        }
    }

    /// Waits for the end of the service.
    public func run(until shutdown: Shutdown) async {
        await meanwhile(shutdown)
        await log.close()
    }
}
