internal import MessageLogs
internal import Synchronization

/// Where callers submit what they append and wait for the result; one of them at a time drives the producer for all.
final class AppendIntake: Sendable {
    /// The signal that a waiting caller gets.
    enum Signal {
        case done(Result<Void, StreamError>)
        case drive
    }

    private struct State {
        var isClosed = false
        var isDriven = false
        var lastTag: UInt = 0
        var submitted: [Append] = []
        var results: [UInt: Result<Void, StreamError>] = [:]
        var waiting: [UInt: CheckedContinuation<Signal, Never>] = [:]
        var client: KafkaClient?
    }

    private let state = Mutex(State())

    /// The producer's client, while it is open.
    var client: KafkaClient? { state.withLock { $0.client } }

    /// Whether it no longer accepts records.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Notes the client to wake when something is submitted.
    func open(_ client: KafkaClient) {
        state.withLock { $0.client = client }
    }

    /// Forgets the client, and hands it to the caller that ends it.
    @discardableResult
    func takeClient() -> KafkaClient? {
        state.withLock { state in
            defer { state.client = nil }
            return state.client
        }
    }

    /// Stops accepting records, and wakes the driver.
    func close() {
        let client = state.withLock { state in
            state.isClosed = true
            return state.client
        }
        client?.wake()
    }

    // MARK: - Callers

    /// Submits records and wakes the driver, if there is one.
    ///
    /// - Throws: `.closed`.
    func submit(
        _ records: [OutgoingRecord],
        deadline: ContinuousClock.Instant
    ) throws(StreamError) -> UInt {
        let submitted: (UInt, KafkaClient?)? = state.withLock { state in
            guard !state.isClosed else { return nil }
            state.lastTag += 1
            state.submitted.append(Append(tag: state.lastTag, records: records, deadline: deadline))
            return (state.lastTag, state.isDriven ? state.client : nil)
        }
        guard let (tag, client) = submitted else { throw .closed }
        client?.wake()
        return tag
    }

    /// Waits until an append is done, or until this caller is to drive.
    func signal(for tag: UInt) async -> Signal {
        await withCheckedContinuation { continuation in
            let signal: Signal? = state.withLock { state in
                if let result = state.results.removeValue(forKey: tag) { return .done(result) }
                guard state.isDriven else {
                    state.isDriven = true
                    return .drive
                }
                state.waiting[tag] = continuation
                return nil
            }
            if let signal { continuation.resume(returning: signal) }
        }
    }

    // MARK: - The driver

    /// What was submitted since the last call.
    func takeSubmitted() -> [Append] {
        state.withLock { state in
            defer { state.submitted.removeAll() }
            return state.submitted
        }
    }

    /// Whether an append's result waits for its caller.
    func isFinished(_ tag: UInt) -> Bool {
        state.withLock { $0.results[tag] != nil }
    }

    /// Gives an append's result to its caller.
    func finish(_ tag: UInt, with result: Result<Void, StreamError>) {
        let waiting: CheckedContinuation<Signal, Never>? = state.withLock { state in
            if let continuation = state.waiting.removeValue(forKey: tag) { return continuation }
            state.results[tag] = result
            return nil
        }
        waiting?.resume(returning: .done(result))
    }

    /// Lets another waiting caller drive.
    func passOn() {
        let next: CheckedContinuation<Signal, Never>? = state.withLock { state in
            guard let tag = state.waiting.keys.first else {
                state.isDriven = false
                return nil
            }
            return state.waiting.removeValue(forKey: tag)
        }
        next?.resume(returning: .drive)
    }
}

/// The records of one caller, and how far they got.
struct Append {
    let tag: UInt
    let records: [OutgoingRecord]
    let deadline: ContinuousClock.Instant
    /// How many were handed to librdkafka.
    var sentCount = 0
    /// How many of those have no delivery report yet.
    var outstanding = 0
    var failure: StreamError?

    init(tag: UInt, records: [OutgoingRecord], deadline: ContinuousClock.Instant) {
        self.tag = tag
        self.records = records
        self.deadline = deadline
    }

    var isSent: Bool { failure != nil || sentCount == records.count }
    var isDone: Bool { isSent && outstanding == 0 }
}
