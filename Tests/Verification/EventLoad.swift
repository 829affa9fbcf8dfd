import Bytes
import Messages
import ServiceRuntime
import SystemClient

/// Sends the events of many users in turn, at an even rate, and remembers what must come of them.
struct EventLoad: Sendable {
    /// What was sent.
    struct Sent: Sendable {
        /// The rows that must come of it.
        var rows: OfflineRows
        /// How long it was sent.
        var duration: Duration
    }

    private let histories: [[Event]]
    private let rate: Int
    private let length: Int

    /// Prepares it.
    ///
    /// - Parameters:
    ///   - histories: each user's events; who has had all of them begins anew.
    ///   - rate: events a second.
    ///   - length: how many events a timeline keeps.
    init(_ histories: [[Event]], rate: Int, length: Int) {
        precondition(!histories.isEmpty && histories.allSatisfy { !$0.isEmpty }, "a load needs users with events")
        self.histories = histories
        self.rate = rate
        self.length = length
    }

    /// Sends until `stop` is requested.
    func run(_ client: SystemClient, until stop: Shutdown) async throws -> Sent {
        let start = ContinuousClock.now
        var rows = OfflineRows(length: length)
        var sent = 0
        while !stop.isRequested {
            let due = Int((ContinuousClock.now - start) / .seconds(1) * Double(rate))
            // After a pause of the ingestor the rest is caught up with, but not all of it in one request.
            let count = min(due - sent, 1_000)
            guard count > 0 else {
                try await Task.sleep(for: .milliseconds(20))
                continue
            }
            let events = (sent..<(sent + count)).map { event($0) }
            try await client.send(events)
            for event in events { rows.add(event) }
            sent += count
        }
        return Sent(rows: rows, duration: ContinuousClock.now - start)
    }

    private func event(_ index: Int) -> Event {
        let history = histories[index % histories.count]
        var event = history[index / histories.count % history.count]
        // A second round must count.
        event.id = nil
        return event
    }
}
