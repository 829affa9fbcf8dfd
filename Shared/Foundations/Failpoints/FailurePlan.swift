#if TEST_SWITCHES
    import Foundation
    import Glibc
    import Synchronization

    /// What the environment asks a process to do wrong.
    public final class FailurePlan: Sendable {
        /// A value of one of the two variables that is not understood.
        public struct Malformed: Error, Equatable, CustomStringConvertible {
            /// The variable, the part of its value, and what is expected.
            public let description: String
        }

        /// What happens at a failpoint.
        enum Action: Equatable {
            case kill
            case stop
            case exit
            case sleep(milliseconds: Double)
            case killLater(milliseconds: Double)
            case stopLater(milliseconds: Double)
        }

        /// One part of the variable: an action the `count`-th time.
        struct Step: Equatable {
            let failpoint: String
            let action: Action
            let count: Int
        }

        /// The variable that names failpoints.
        public static let failpointVariable = "USERLLM_FAILPOINT"
        /// The variable that names protections.
        public static let protectionVariable = "USERLLM_WITHOUT_PROTECTION"

        private let steps: [Step]
        private let perform: @Sendable (Action) -> Void
        private let reachedCounts = Mutex<[String: Int]>([:])

        init(steps: [Step], perform: @escaping @Sendable (Action) -> Void = FailurePlan.perform) {
            self.steps = steps
            self.perform = perform
        }

        /// Read once; nil when there is nothing to do.
        ///
        /// A value that is not understood is for `check` to refuse.
        static let ofThisProcess: FailurePlan? =
            (try? steps(in: environment(failpointVariable))).flatMap { $0.isEmpty ? nil : FailurePlan(steps: $0) }

        static let protectionsOff: Set<String> = (try? protections(in: environment(protectionVariable))) ?? []

        /// Rejects values that are not understood, and describes what is set, for the log.
        ///
        /// - Returns: one sentence for each variable that is set.
        /// - Throws: `Malformed`.
        public static func check() throws(Malformed) -> [String] {
            var warnings: [String] = []
            if try !steps(in: environment(failpointVariable)).isEmpty {
                warnings.append("this process will fail on purpose: \(failpointVariable) is set")
            }
            if try !protections(in: environment(protectionVariable)).isEmpty {
                warnings.append("this process may lose or double data: \(protectionVariable) switches protections off")
            }
            return warnings
        }

        private static func environment(_ name: String) -> String {
            getenv(name).map { String(cString: $0) } ?? ""
        }

        // MARK: - Reading

        static func steps(in text: String) throws(Malformed) -> [Step] {
            var steps: [Step] = []
            for part in text.split(separator: ",") { steps.append(try step(String(part))) }
            return steps
        }

        private static func step(_ part: String) throws(Malformed) -> Step {
            let halves = part.split(separator: ":", maxSplits: 1).map(String.init)
            guard halves.count == 2, halves[0].wholeMatch(of: /[a-z]+\.[a-z-]+/) != nil else {
                throw malformed(failpointVariable, part, "NAME:ACTION@COUNT with a NAME such as kafka.after-offsets")
            }
            let words = halves[1].split(separator: "@", maxSplits: 1).map(String.init)
            let expected = "an action: kill, stop, exit, sleep=MS, kill-in=MS or stop-in=MS, with @COUNT of 1 or more"
            guard let action = words.first.flatMap(action), let count = words.count == 1 ? 1 : Int(words[1]), count > 0
            else { throw malformed(failpointVariable, part, expected) }
            return Step(failpoint: halves[0], action: action, count: count)
        }

        private static func action(_ word: String) -> Action? {
            let halves = word.split(separator: "=", maxSplits: 1).map(String.init)
            guard halves.count == 2 else {
                return ["kill": .kill, "stop": .stop, "exit": .exit][word]
            }
            guard let time = Double(halves[1]), (0...3_600_000).contains(time) else { return nil }
            return switch halves[0] {
            case "sleep": .sleep(milliseconds: time)
            case "kill-in": .killLater(milliseconds: time)
            case "stop-in": .stopLater(milliseconds: time)
            default: nil
            }
        }

        static func protections(in text: String) throws(Malformed) -> Set<String> {
            var protections: Set<String> = []
            for part in text.split(separator: ",") {
                guard part.wholeMatch(of: /[a-z-]+/) != nil else {
                    throw malformed(protectionVariable, String(part), "a name such as row-guard")
                }
                protections.insert(String(part))
            }
            return protections
        }

        private static func malformed(_ variable: String, _ part: String, _ expected: String) -> Malformed {
            Malformed(description: "\(variable): \"\(part)\" is not understood: expected \(expected)")
        }

        // MARK: - Failing

        func reached(_ failpoint: String) {
            let count = reachedCounts.withLock { counts in
                counts[failpoint, default: 0] += 1
                return counts[failpoint, default: 0]
            }
            for step in steps where step.failpoint == failpoint && step.count == count { perform(step.action) }
        }

        @Sendable private static func perform(_ action: Action) {
            switch action {
            case .kill: end(SIGKILL)
            case .stop: end(SIGSTOP)
            case .exit: _exit(70)
            case .sleep(let milliseconds): wait(milliseconds)
            case .killLater(let milliseconds): later(milliseconds) { end(SIGKILL) }
            case .stopLater(let milliseconds): later(milliseconds) { end(SIGSTOP) }
            }
        }

        private static func end(_ signal: Int32) {
            // To this thread: another thread might handle a signal to the process first, while this one goes on.
            _ = raise(signal)
        }

        private static func later(_ milliseconds: Double, _ body: @escaping @Sendable () -> Void) {
            let thread = Thread {
                wait(milliseconds)
                body()
            }
            thread.name = "userllm.failpoint"
            thread.start()
        }

        private static func wait(_ milliseconds: Double) {
            usleep(UInt32(milliseconds * 1_000))
        }
    }
#endif
