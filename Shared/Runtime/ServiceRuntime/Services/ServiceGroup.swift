import Concurrency
import Glibc
import Bytes
import Synchronization

/// Runs the services of a process: starts them in order, stops them in reverse.
///
/// A stop is requested by `SIGTERM`, `SIGINT` or `SIGHUP`, by the death of the parent process, or by a service that
/// fails or is done. The last service is asked first, and the one before it when that has returned, so a flow ends
/// before the clients it uses. A second signal a moment later, or a stop that takes too long, ends the process at once
/// with code 75.
public struct ServiceGroup: Sendable {
    /// How a group reacts to signals and to its parent process.
    public struct Options: Sendable {
        /// How long a stop may take.
        public var shutdownDeadline: Duration = .seconds(25)
        /// Whether the group hears `SIGTERM`, `SIGINT` and `SIGHUP`.
        public var handlesSignals = true
        /// The group stops when this process is no longer the parent.
        public var parentProcess: Int32?
        /// What happens when a stop takes too long, or is asked for twice.
        public var abandon: @Sendable (ExitCode) -> Void = { _exit($0.rawValue) }

        /// Makes the usual options.
        public init() {}
    }

    private let services: [any Service]
    private let logger: Logger
    private let options: Options

    /// Makes a group.
    public init(_ services: [any Service], logger: Logger, options: Options = Options()) {
        self.services = services
        self.logger = logger
        self.options = options
    }

    /// Runs all services until the last has returned.
    ///
    /// - Parameters:
    ///   - stop: may be requested from outside, as a signal would.
    ///   - onStop: called when the stop begins, before any service is asked.
    /// - Throws: the first error of a service, when all have returned.
    public func run(stop: Shutdown = Shutdown(), onStop: @escaping @Sendable () -> Void = {}) async throws {
        let listener = options.handlesSignals ? listen(stop) : nil
        defer { withExtendedLifetime(listener) {} }
        let members = services.map { Member(service: $0) }
        let firstError = FirstError()

        await withDiscardingTaskGroup { group in
            group.addTask { await watchParent(stop) }
            group.addTask {
                await stop.requested()
                onStop()
                await withDiscardingTaskGroup { stopping in
                    stopping.addTask { await enforceDeadline() }
                    for member in members.reversed() {
                        member.shutdown.request()
                        await member.ended.requested()
                    }
                    stopping.cancelAll()
                }
            }
            for member in members {
                group.addTask {
                    do {
                        try await member.service.run(until: member.shutdown)
                        logger.debug("service returned", metadata: ["service.name": member.service.name])
                    } catch is CancellationError where stop.isRequested {
                        logger.debug("service was cancelled", metadata: ["service.name": member.service.name])
                    } catch {
                        note(error, of: member, in: firstError)
                    }
                    member.ended.request()
                    stop.request()
                }
            }
        }
        if let error = firstError.error { throw error }
    }

    private final class FirstError: Sendable {
        private let state = Mutex<(any Error)?>(nil)

        var error: (any Error)? { state.withLock { $0 } }

        /// Keeps an error if it is the first, and returns whether it was.
        func keep(_ error: any Error) -> Bool {
            state.withLock { first in
                guard first == nil else { return false }
                first = error
                return true
            }
        }
    }

    private struct Member: Sendable {
        let service: any Service
        let shutdown = Shutdown()
        let ended = Shutdown()
    }

    /// The first error ends the process and is reported there; errors that follow from it are logged here.
    private func note(_ error: any Error, of member: Member, in first: FirstError) {
        guard !first.keep(error) else { return }
        logger.error(
            "service failed while stopping",
            metadata: ["service.name": member.service.name, "error": FailureText.sentence(error)]
        )
    }

    private func listen(_ stop: Shutdown) -> SignalListener {
        let first = Mutex<FirstSignal?>(nil)
        return SignalListener(IdleSignals.numbers) { number in
            let now = ContinuousClock.now
            let earlier = first.withLock { first in
                defer { first = first ?? FirstSignal(at: now) }
                return first
            }
            // A closing terminal signals twice: through its shell, and itself.
            guard earlier?.isRepeated(at: now) != true, earlier == nil || number != SIGHUP else { return }
            guard !stop.isRequested else {
                logger.critical("stopped at once by a second signal", metadata: ["signal.number": "\(number)"])
                return options.abandon(.temporaryFailure)
            }
            logger.info("stopping because of a signal", metadata: ["signal.number": "\(number)"])
            stop.request()
        }
    }

    /// When a stop was first asked for by a signal.
    struct FirstSignal {
        /// A person takes longer to ask twice; `timeout` and terminals signal a process and then its group.
        static let repetition: Duration = .milliseconds(300)

        let at: ContinuousClock.Instant

        /// Whether a signal repeats the first one, and is not a second request.
        func isRepeated(at now: ContinuousClock.Instant) -> Bool { now - at < Self.repetition }
    }

    private func enforceDeadline() async {
        guard (try? await Task.sleep(for: options.shutdownDeadline)) != nil else { return }
        logger.critical(
            "stopping took too long",
            metadata: ["shutdown.deadline": options.shutdownDeadline.configurationText]
        )
        options.abandon(.temporaryFailure)
    }

    /// Checks twice a second who the parent process is.
    ///
    /// `PR_SET_PDEATHSIG` would report it at once, but it reports the death of the parent's *thread*, and pool threads
    /// are short-lived.
    private func watchParent(_ stop: Shutdown) async {
        guard let parent = options.parentProcess else { return }
        while !stop.isRequested {
            if getppid() != parent {
                logger.warning("stopping because the parent process ended", metadata: ["process.parent": "\(parent)"])
                return stop.request()
            }
            try? await Task.sleep(for: .milliseconds(500))
        }
    }
}
