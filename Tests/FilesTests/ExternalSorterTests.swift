import Foundation
import RandomNumbers
import Synchronization
import Testing

@testable import Files

@Suite struct ExternalSorterTests {
    private let folder = FileManager.default.temporaryDirectory.path

    private struct Item: Equatable {
        var key: SortKey
        var record: [UInt8]
    }

    /// Records of few different keys, so that many are equal, some of them empty and some longer than any buffer.
    private func items(_ count: Int, seed: UInt64) -> [Item] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { number in
            let length = number % 97 == 0 ? 3_000 : random.below(40)
            let key = SortKey(UInt64(random.below(20)), UInt64(random.below(3)))
            return Item(key: key, record: Array("\(number)".utf8) + [UInt8](repeating: 7, count: length))
        }
    }

    private func sorted(_ items: [Item], memory: Int) throws -> (items: [Item], runs: Int) {
        var sorter = ExternalSorter(memory: memory, folder: folder)
        for item in items { try sorter.add(item.key, item.record) }
        #expect(sorter.count == items.count)
        let runs = sorter.runCount
        var records = try sorter.sorted()
        var record: [UInt8] = []
        var result: [Item] = []
        while let key = try records.next(into: &record) { result.append(Item(key: key, record: record)) }
        return (result, runs)
    }

    /// In memory, with one round of merging and with several: 4,096 bytes merge two runs at a time.
    @Test(arguments: [1 << 24, 1 << 16, 4_096])
    func sortsInAnyMemoryAndKeepsTheOrderOfEqualKeys(memory: Int) throws {
        let items = items(3_000, seed: 5)
        // Numbered, so that the order of equal keys is decided here without a stable sort.
        let expected = items.enumerated().sorted { ($0.element.key, $0.offset) < ($1.element.key, $1.offset) }
        let (result, runs) = try sorted(items, memory: memory)
        #expect(result == expected.map(\.element))
        #expect(memory == 1 << 24 ? runs == 0 : runs >= 3)
        if memory == 4_096 { #expect(runs > 24) }
    }

    @Test func sortsNothingAndSingleRecordsOverTheLimit() throws {
        #expect(try sorted([], memory: 4_096).items.isEmpty)
        let large = (0..<3).map { Item(key: SortKey(9 - $0), record: [UInt8](repeating: UInt8($0), count: 10_000)) }
        #expect(try sorted(large, memory: 4_096).items == large.reversed())
    }

    @Test func ordersSignedNumbers() {
        let numbers: [Int64] = [.min, -5, -1, 0, 1, 7, .max]
        #expect(numbers.map { UInt64(ordering: $0) } == numbers.map { UInt64(ordering: $0) }.sorted())
        #expect(numbers.map { UInt64(ordering: $0).orderedValue } == numbers)
    }

    @Test func aFolderThatCannotBeWrittenIsNamed() throws {
        var sorter = ExternalSorter(memory: 4_096, folder: "/nowhere")
        let error = #expect(throws: SortError.self) {
            for number in 0..<1_000 { try sorter.add(SortKey(UInt64(number)), [1, 2, 3]) }
        }
        #expect(error?.description.contains("/nowhere") == true)
        #expect(error?.description.contains("TMPDIR") == true)
    }

    /// Its file has no name from the start, so that no end of the process can leave it there.
    @Test func leavesNoFileBehind() throws {
        let own = folder + "/sorting-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: own) }
        var sorter = ExternalSorter(memory: 4_096, folder: own)
        for number in 0..<1_000 { try sorter.add(SortKey(UInt64(number)), [1, 2, 3]) }
        #expect(sorter.runCount > 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: own).isEmpty)
    }

    @Test func stopsWhenItIsTold() throws {
        let asked = Mutex(0)
        var sorter = ExternalSorter(memory: 4_096, folder: folder) {
            asked.withLock { asked in
                asked += 1
                return asked > 5
            }
        }
        #expect(throws: SortError.stopped) {
            for number in 0..<10_000 { try sorter.add(SortKey(UInt64(number)), [1, 2, 3]) }
        }
    }
}
