import Messages
import Testing

@testable import UserTimelines

@Suite struct PartitionMarksTests {
    private func source(_ partition: Int32, _ offset: Int64) -> Timeline.Source {
        Timeline.Source(partition: partition, offset: offset)
    }

    private static func mark(_ partition: Int32, _ offset: Int64, _ deletion: Int64) -> ForgottenMarks.Mark {
        ForgottenMarks.Mark(partition: partition, offset: offset, deletion: deletion)
    }

    /// Whether an event, and a deletion, of a place are known where they lie.
    @Test(
        arguments: [
            // Settled: an event wherever it lies, a deletion that cannot be the one that left the mark.
            (3, 40, 0, true, false), (3, 40, 10, true, false), (3, 40, 11, true, true), (3, 41, 1_000, false, false),
            (3, 0, 0, true, false),
            // Recent: behind the deletion, which is not behind itself.
            (5, 7, 21, true, true), (5, 7, 20, false, false), (5, 7, 19, false, false), (5, 0, 21, true, true),
            // Of two the one that reaches so far.
            (5, 8, 21, false, false), (5, 8, 31, true, true), (5, 8, 30, false, false), (5, 7, 30, true, true),
            (5, 9, 1_000, false, false),
            // Both for one partition.
            (6, 2, 0, true, false), (6, 2, 11, true, true), (6, 3, 20, false, false), (6, 3, 26, true, true),
            // None.
            (4, 0, 1_000, false, false), (0, 0, 1_000, false, false), (7, 0, 1_000, false, false),
        ] as [(Int32, Int64, Int64, Bool, Bool)]
    )
    func whatMarksSay(partition: Int32, offset: Int64, place: Int64, event: Bool, deletion: Bool) {
        let marks = PartitionMarks(
            ForgottenMarks(
                settled: [source(3, 40), source(6, 2)],
                settledUntil: 10,
                recent: [Self.mark(5, 7, 20), Self.mark(5, 8, 30), Self.mark(6, 4, 25)]
            )
        )
        #expect(marks.knows(eventFrom: source(partition, offset), at: place) == event)
        #expect(marks.knows(deletionFrom: source(partition, offset), at: place) == deletion)
    }

    @Test func whatIsSaidAlreadyIsNotAdded() {
        var marks = PartitionMarks(ForgottenMarks(settled: [source(1, 2)], settledUntil: 3))
        marks.beginBatch(at: 25)
        marks.add(source(1, 10), deletion: 30)
        marks.add(source(1, 20), deletion: 50)
        #expect(marks.addedCount == 2)
        for (offset, deletion) in [(2, 60), (10, 30), (10, 31), (9, 30), (20, 60), (11, 50)] as [(Int64, Int64)] {
            marks.add(source(1, offset), deletion: deletion)
        }
        #expect(marks.marks.recent == [Self.mark(1, 10, 30), Self.mark(1, 20, 50)] && marks.addedCount == 2)
        // One that is new goes between them, or takes the place of those that say less.
        marks.add(source(1, 15), deletion: 40)
        #expect(marks.marks.recent == [Self.mark(1, 10, 30), Self.mark(1, 15, 40), Self.mark(1, 20, 50)])
        marks.add(source(1, 20), deletion: 35)
        #expect(marks.marks.recent == [Self.mark(1, 10, 30), Self.mark(1, 20, 35)])
        marks.add(source(0, 7), deletion: 36)
        #expect(marks.marks.recent == [Self.mark(0, 7, 36), Self.mark(1, 10, 30), Self.mark(1, 20, 35)])
        #expect(marks.marks.settled == [source(1, 2)])
    }

    /// They stay as they are for as long as what lies before the deletions may be taken again.
    @Test func marksOfLongAgoAreJoined() {
        var marks = PartitionMarks()
        marks.add(source(1, 10), deletion: 5)
        marks.add(source(2, 4), deletion: 6)
        marks.beginBatch(at: 20_005)
        #expect(marks.addedCount == 0)
        marks.add(source(1, 11), deletion: 20_007)
        #expect(marks.marks.settled.isEmpty && marks.marks.settledUntil == -1 && marks.addedCount == 1)
        // Only when something new is stored.
        marks.beginBatch(at: 20_006)
        marks.add(source(1, 11), deletion: 20_008)
        #expect(marks.marks.settled.isEmpty && marks.addedCount == 0)
        marks.add(source(2, 8), deletion: 20_009)
        #expect(marks.marks.settled == [source(1, 10)] && marks.marks.settledUntil == 5)
        #expect(marks.marks.recent == [Self.mark(1, 11, 20_007), Self.mark(2, 4, 6), Self.mark(2, 8, 20_009)])
        marks.beginBatch(at: 60_000)
        marks.add(source(0, 3), deletion: 60_001)
        #expect(marks.marks.settled == [source(1, 11), source(2, 8)] && marks.marks.settledUntil == 20_009)
        #expect(marks.marks.recent == [Self.mark(0, 3, 60_001)])
    }

    @Test func ofTooManyTheOldestAreJoinedButNoneOfThisBatch() throws {
        let count = Int64(Limits.recentMarkCount)
        var marks = PartitionMarks()
        marks.beginBatch(at: 0)
        for offset in 0..<count + 10 { marks.add(source(1, offset), deletion: offset) }
        #expect(marks.marks.recent.count == Limits.recentMarkCount && marks.marks.settled.isEmpty)
        _ = try marks.marks.encoded()
        // Taken again: nothing is known to be there.
        marks.beginBatch(at: 0)
        marks.add(source(2, 1), deletion: 1)
        #expect(marks.marks.settled.isEmpty)
        marks.beginBatch(at: count)
        marks.add(source(2, 2), deletion: count + 1)
        #expect(marks.marks.settled == [source(1, count / 2 - 1)] && marks.marks.settledUntil == count / 2 - 1)
        #expect(marks.marks.recent.count == Limits.recentMarkCount / 2 + 1)
        // More partitions than a timeline tells apart.
        for partition in 0..<Int32(Limits.sourceCount + 10) { marks.add(source(partition, 1), deletion: count + 2) }
        marks.beginBatch(at: 2_000_000)
        marks.add(source(1, 1_000_000), deletion: 2_000_001)
        #expect(marks.marks.settled.count == Limits.sourceCount && marks.marks.recent.count == 1)
        _ = try marks.marks.encoded()
    }

    // MARK: - Against the plain rule

    /// Every mark that was ever left, in the plainest way.
    private struct Model {
        var marks: [ForgottenMarks.Mark] = []

        func knows(_ source: Timeline.Source, at offset: Int64) -> Bool {
            marks.contains {
                $0.partition == source.partition && $0.offset >= source.offset && $0.deletion < offset
            }
        }
    }

    @Test(arguments: 1...20)
    func saysWhatThePlainRuleSays(round: Int) throws {
        var (marks, model) = (PartitionMarks(), Model())
        var start: Int64 = 0
        for _ in 0..<300 {
            switch Int.random(in: 0..<10) {
            case 0:
                // Most often further on, and sometimes back.
                start = max(0, start + Int64.random(in: -15...30))
                marks.beginBatch(at: start)
            case 1: marks = PartitionMarks(try ForgottenMarks(decoding: marks.marks.encoded(), contentType: nil))
            case 2...5:
                let source = source(.random(in: 0..<3), .random(in: 0..<60))
                let deletion = start + .random(in: 0..<20)
                marks.add(source, deletion: deletion)
                model.marks.append(Self.mark(source.partition, source.offset, deletion))
            default: break
            }
            for partition: Int32 in 0..<3 {
                let (source, place) = (source(partition, .random(in: 0..<60)), Int64.random(in: 0..<300))
                #expect(marks.knows(eventFrom: source, at: place) == model.knows(source, at: place))
                #expect(marks.knows(deletionFrom: source, at: place) == model.knows(source, at: place))
            }
        }
    }
}
