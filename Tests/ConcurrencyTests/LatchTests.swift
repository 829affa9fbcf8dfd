import Concurrency
import Testing

@Suite(.timeLimit(.minutes(1))) struct LatchTests {
    @Test func everyoneWhoWaitsGetsTheFirstValue() async {
        let latch = Latch<Int>()
        #expect(latch.value == nil)
        let values = await withTaskGroup(of: Int?.self) { group in
            for index in 0..<20 {
                group.addTask { index.isMultiple(of: 2) ? await latch.opened() : await latch.openedOrCancelled() }
            }
            latch.open(with: 7)
            latch.open(with: 8)
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(values == Array(repeating: 7, count: 20))
        #expect(await latch.opened() == 7 && latch.value == 7)
    }

    @Test func aCancelledTaskWaitsOnlyWhereItIsAskedTo() async {
        let latch = Latch<Void>()
        let patient = Task { await latch.opened() }
        let impatient = Task { await latch.openedOrCancelled() != nil }
        patient.cancel()
        impatient.cancel()
        #expect(await impatient.value == false)
        #expect(!latch.isOpen)
        latch.open()
        await patient.value
        #expect(latch.isOpen)
    }

    @Test func whatHasHappenedIsSeenByACancelledTaskToo() async {
        let latch = Latch<Void>()
        latch.open()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await latch.openedOrCancelled() != nil
        }
        #expect(await task.value)
    }
}
