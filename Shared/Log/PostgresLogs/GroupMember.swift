import PostgresClient
import Concurrency
import Foundation
import MessageLogs
import Synchronization

/// The thread beside a subscription: it listens for notifications, and sends a group member's heartbeats while the
/// program works on a batch.
///
/// It has a connection of its own. The lock that it holds there shows that the process is alive: the server releases it
/// with the connection. A stopped process keeps its connection, so the heartbeat is checked too.
final class GroupMember: Sendable {
    /// The first half of the advisory locks of members; the second is the member's id.
    static let lockClass: Int32 = 0x5553_4C4C

    private struct State {
        var identifier: Int32?
        var isExpired = false
        var isShareDue = true
        var isStopped = false
        var isPaused = false
        var error: PostgresError?
    }

    /// Raised when something may have changed: records, members, an error, and periodically as a fallback.
    let signal = Signal()
    private let ended = Latch<Void>()
    private let state = Mutex(State())
    private let pipe: WakePipe
    private let address: PostgresAddress
    private let settings: PostgresSettings
    private let topics: [Int32]
    private let group: String?
    private let name: String
    private let session: Duration
    private let pollMilliseconds: Int32

    /// Starts the thread; without a group it only listens.
    init(
        _ address: PostgresAddress,
        _ settings: PostgresSettings,
        topics: [Int32],
        group: String?,
        name: String,
        session: Duration,
        pollInterval: Duration
    ) throws(PostgresError) {
        guard let pipe = WakePipe() else { throw PostgresError.noDescriptors }
        self.pipe = pipe
        self.address = address
        self.settings = settings
        self.topics = topics
        self.group = group
        self.name = name
        self.session = session
        pollMilliseconds = Int32(clamping: pollInterval.milliseconds)
        let thread = Thread { [self] in run() }
        thread.name = "userllm.member"
        thread.start()
    }

    // MARK: - For the subscription

    /// The member's id, once it has joined.
    var identifier: Int32? { state.withLock { $0.identifier } }

    /// The error of the last attempt, while the thread is not connected.
    var error: PostgresError? { state.withLock { $0.error } }

    /// Whether the other members expired this one; reported once, after which it joins again under a new id.
    func takeExpiry() -> Bool {
        state.withLock { state in
            defer { state.isExpired = false }
            return state.isExpired
        }
    }

    /// Whether the group may have changed since the last time this was asked.
    func takeShareDue() -> Bool {
        state.withLock { state in
            defer { state.isShareDue = false }
            return state.isShareDue
        }
    }

    /// Whether the group may have changed, or this member is another than the one named.
    func hasNews(for identifier: Int32?) -> Bool {
        state.withLock { $0.isShareDue || $0.isExpired || $0.identifier != identifier }
    }

    /// Makes the next check of the group due.
    func setShareDue() { state.withLock { $0.isShareDue = true } }

    /// Notes that the database no longer knows this member.
    func expire(_ identifier: Int32) {
        state.withLock { state in
            guard state.identifier == identifier else { return }
            state.identifier = nil
            state.isExpired = true
        }
        pipe.wake()
    }

    /// Stops or continues the heartbeat, as stopping the process would.
    func setPaused(_ isPaused: Bool) {
        state.withLock { $0.isPaused = isPaused }
        pipe.wake()
    }

    /// Ends the thread, which leaves the group first if it can.
    func stop() {
        state.withLock { $0.isStopped = true }
        pipe.wake()
        signal.raise()
    }

    /// Waits until the thread has ended.
    func waitUntilStopped() async { await ended.opened() }

    // MARK: - The thread

    private func run() {
        let link = PostgresLink(address, settings, pipe)
        var lastBeat = ContinuousClock.now - .seconds(3_600)
        var backoff = Backoff.ofServer
        while !state.withLock({ $0.isStopped }) {
            do throws(PostgresError) {
                try prepare(link)
                try beat(link, &lastBeat)
                let channels = try link.notifications(milliseconds: pollMilliseconds)
                if channels.contains(where: { $0.hasPrefix("userllm_group_") }) { setShareDue() }
                state.withLock { $0.error = nil }
                backoff.reset()
                signal.raise()
            } catch {
                state.withLock { $0.error = error }
                signal.raise()
                _ = pipe.wait(socket: nil, events: 0, milliseconds: Int32(clamping: backoff.next().milliseconds))
            }
        }
        leave(link)
        link.disconnect()
        ended.open()
    }

    /// Connects, listens and joins, as far as still needed.
    private func prepare(_ link: PostgresLink) throws(PostgresError) {
        if !link.isConnected {
            try link.connect()
            var channels = topics.map { "LISTEN userllm_log_\($0);" }.joined()
            if group != nil, let channel = try groupChannel(link) { channels += "LISTEN \(channel);" }
            try link.execute(channels, "listening for records")
            if let identifier {
                // Others may have found the lock free and taken the partitions; then the next check of the group shows
                // it.
                let lock = "SELECT pg_advisory_lock(\(Self.lockClass), $1)"
                _ = try link.query(lock, [.int4(identifier)], "taking the member's lock again")
                setShareDue()
            }
        }
        guard let group, identifier == nil, !state.withLock({ $0.isPaused }) else { return }
        let joined = try link.query(
            "SELECT userllm_log.join_group($1, $2, $3, $4)",
            [.text(group), .text(name), .int4s(topics), .int8(session.milliseconds)],
            "joining group \(group)"
        )
        state.withLock { state in
            state.identifier = joined.int4(0, 0)
            state.isShareDue = true
        }
    }

    private func groupChannel(_ link: PostgresLink) throws(PostgresError) -> String? {
        guard let group else { return nil }
        let sql = "SELECT 'userllm_group_' || md5($1)"
        return try link.query(sql, [.text(group)], "naming the group's channel").text(0, 0)
    }

    /// Sends heartbeats, at least five times per session timeout.
    private func beat(_ link: PostgresLink, _ last: inout ContinuousClock.Instant) throws(PostgresError) {
        guard let identifier, !state.withLock({ $0.isPaused }),
            ContinuousClock.now - last > min(session / 5, .seconds(2))
        else { return }
        let beaten = try link.query(
            "UPDATE userllm_log.members SET heartbeat_at = clock_timestamp() WHERE id = $1",
            [.int4(identifier)],
            "the heartbeat of a member"
        )
        last = .now
        if beaten.affectedCount == 0 { expire(identifier) }
        setShareDue()
    }

    private func leave(_ link: PostgresLink) {
        guard let group, let identifier, link.isConnected else { return }
        // If it fails, the connection's end frees the lock, and with it the partitions.
        _ = try? link.query(
            "SELECT userllm_log.leave_group($1, $2)",
            [.text(group), .int4(identifier)],
            "leaving group \(group)"
        )
    }
}
