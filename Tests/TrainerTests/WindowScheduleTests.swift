import Testing

@testable import Trainer

@Suite("Window schedule")
struct WindowScheduleTests {
    @Test func anEpochHasEveryTargetOnce() {
        let counts = [3, 1, 120, 51, 52]
        var schedule = WindowSchedule(counts: counts, length: 50, seed: 7)
        var seen: [[Int]] = counts.map { [Int](repeating: 0, count: $0) }
        var index = 0
        // A window is read until each target of an epoch was seen; none may come a second time before that.
        while seen.enumerated().contains(where: { $0.offset != 1 && $0.element.dropFirst().contains(0) }) {
            let window = schedule.windows(index..<index + 1)[0]
            #expect(window.range.count <= 51)
            for target in window.range.dropFirst() { seen[window.user][target] += 1 }
            index += 1
        }
        for (user, targets) in seen.enumerated() where user != 1 {
            #expect(targets.dropFirst().allSatisfy { $0 == 1 }, "user \(user)")
        }
        #expect(seen[1] == [0])
    }

    @Test func theSameSeedGivesTheSameWindowsWhereverOneStarts() {
        let counts = (0..<40).map { 10 + 7 * $0 }
        var whole = WindowSchedule(counts: counts, length: 20, seed: 3)
        var late = WindowSchedule(counts: counts, length: 20, seed: 3)
        let all = whole.windows(0..<2_000)
        #expect(late.windows(1_500..<2_000) == Array(all[1_500...]))
        #expect(late.windows(10..<20) == Array(all[10..<20]))
        var other = WindowSchedule(counts: counts, length: 20, seed: 4)
        #expect(other.windows(0..<100) != Array(all[..<100]))
    }
}
