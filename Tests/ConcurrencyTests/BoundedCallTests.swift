import Concurrency
import Dispatch
import Testing

@Suite(.timeLimit(.minutes(1))) struct BoundedCallTests {
    @Test func aCallThatReturnsGivesItsValue() {
        guard case .returned(7) = BoundedCall.run(until: .now + .seconds(60), { 7 }) else {
            Issue.record("the call was left behind")
            return
        }
    }

    @Test func aCallThatHangsIsLeftBehindAndKeepsWhatItHolds() {
        let gate = DispatchSemaphore(value: 0)
        let end = DispatchSemaphore(value: 0)
        weak var held: Held?
        let outcome = {
            let object = Held { end.signal() }
            held = object
            return BoundedCall.run(until: .now) {
                withExtendedLifetime(object) { gate.wait() }
            }
        }()
        guard case .leftBehind = outcome else {
            Issue.record("the call returned before its gate was opened")
            return
        }
        #expect(held != nil)
        gate.signal()
        end.wait()
    }
}

private final class Held: Sendable {
    private let onEnd: @Sendable () -> Void

    init(_ onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    deinit { onEnd() }
}
