import Concurrency
import Foundation
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct BoundedCallTests {
    @Test func aCallThatReturnsGivesItsValue() {
        guard case .returned(7) = BoundedCall.run(until: .now + .seconds(60), { 7 }) else {
            Issue.record("the call was left behind")
            return
        }
    }

    @Test func aCallThatHangsIsLeftBehindAndKeepsWhatItHolds() {
        let (gate, end) = (Gate(), Gate())
        weak var held: Held?
        let outcome = {
            let object = Held { end.open() }
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
        gate.open()
        end.wait()
    }
}

private final class Held: Sendable {
    private let onEnd: @Sendable () -> Void

    init(_ onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    deinit { onEnd() }
}

/// Blocks threads until it is opened.
private final class Gate: Sendable {
    private let condition = NSCondition()
    private let isOpen = Mutex(false)

    func open() {
        condition.lock()
        isOpen.withLock { $0 = true }
        condition.broadcast()
        condition.unlock()
    }

    func wait() {
        condition.lock()
        while !isOpen.withLock({ $0 }) { condition.wait() }
        condition.unlock()
    }
}
