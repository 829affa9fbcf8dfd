import ServiceRuntime
import Synchronization

/// Processes that are stopped together, before those that were started earlier; members can be added and removed.
final class ProcessStage: Service {
    /// One process of a stage.
    final class Member: Sendable {
        /// Its name for people.
        var label: String { process.name }
        fileprivate let process: SupervisedProcess
        fileprivate let isEssential: Bool
        fileprivate let stop = Shutdown()
        private let ended = Shutdown()
        private let state = Mutex<(any Error)?>(nil)

        fileprivate init(_ process: SupervisedProcess, isEssential: Bool) {
            self.process = process
            self.isEssential = isEssential
        }

        /// Why it was given up; nil if it was not.
        var failure: (any Error)? { state.withLock { $0 } }

        /// Whether it did not end when asked to, and was killed.
        var wasKilled: Bool { process.wasKilled.isSet }

        /// Asks it to stop, as at the end of the system.
        func requestStop() { stop.request() }

        /// Waits until it has ended, or the task is cancelled.
        func waitUntilEnded() async { await ended.requested() }

        /// Whether it has ended.
        var hasEnded: Bool { ended.isRequested }

        fileprivate func end(with error: (any Error)?) {
            state.withLock { $0 = error }
            ended.request()
        }
    }

    private struct State {
        var members: [ObjectIdentifier: Member] = [:]
        var isStopping = false
        var firstError: (any Error)?
    }

    let name: String
    private let added: AsyncStream<Member>
    private let adding: AsyncStream<Member>.Continuation
    private let state = Mutex(State())

    /// Creates a stage without processes.
    init(_ name: String) {
        self.name = name
        (added, adding) = AsyncStream.makeStream()
    }

    /// Starts a process with the stage, or now if the stage is running.
    ///
    /// - Parameters:
    ///   - process: the process.
    ///   - isEssential: whether the whole system stops when the process is given up.
    /// - Returns: nil if the stage is being stopped; then nothing is started.
    @discardableResult
    func add(_ process: SupervisedProcess, isEssential: Bool) -> Member? {
        let member = Member(process, isEssential: isEssential)
        let isTaken = state.withLock { state in
            guard !state.isStopping else { return false }
            state.members[ObjectIdentifier(member)] = member
            return true
        }
        guard isTaken else { return nil }
        adding.yield(member)
        return member
    }

    /// Runs all processes until the service is to stop.
    ///
    /// - Throws: the first error of an essential process, after all have ended.
    func run(until shutdown: Shutdown) async throws {
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in
                await shutdown.requested()
                let members = state.withLock { state in
                    state.isStopping = true
                    return Array(state.members.values)
                }
                for member in members { member.requestStop() }
                adding.finish()
            }
            for await member in added {
                group.addTask { [self] in
                    do {
                        try await member.process.run(until: member.stop)
                        forget(member)
                        member.end(with: nil)
                    } catch {
                        forget(member)
                        member.end(with: error)
                        guard member.isEssential else { return }
                        // The others end too, in order, before this error is thrown.
                        state.withLock { $0.firstError = $0.firstError ?? error }
                        shutdown.request()
                    }
                }
            }
        }
        if let error = state.withLock({ $0.firstError }) { throw error }
    }

    private func forget(_ member: Member) {
        state.withLock { $0.members[ObjectIdentifier(member)] = nil }
    }
}
