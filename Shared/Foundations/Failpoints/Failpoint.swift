/// A place in a commit path at which a test can make the process fail.
///
/// Declared where it is reached. It exists only in a build with `TEST_SWITCHES`, which `Deploy/test` and
/// `Deploy/verify` make: in others it does nothing, and its name is not in the program. There
/// `USERLLM_FAILPOINT=kafka.after-offsets:kill@17` ends the process the 17th time it reaches that point; several are
/// separated by commas. Counts are per process, so a process that is restarted with the same variable fails again.
///
/// | action | what happens |
/// |---|---|
/// | `kill` | the process ends at once, as by `kill -9` |
/// | `stop` | the process is stopped (SIGSTOP) until somebody sends SIGCONT |
/// | `exit` | the process ends with code 70, without any cleaning up |
/// | `sleep=MS` | the thread waits for MS milliseconds |
/// | `kill-in=MS`, `stop-in=MS` | the same, MS milliseconds later, so during what follows; MS may be a fraction |
public struct Failpoint: Sendable {
    #if TEST_SWITCHES
        private let name: String

        /// Names a place.
        public init(_ name: @autoclosure () -> String) { self.name = name() }

        /// Fails here if the environment says so.
        public func reach() { FailurePlan.ofThisProcess?.reached(name) }
    #else
        /// Names a place.
        @inlinable public init(_ name: @autoclosure () -> String) {}

        /// Does nothing in this build.
        @inlinable public func reach() {}
    #endif
}
