/// The key by which records are sorted: the first number, then the second; records of one key keep their order of
/// arrival.
public struct SortKey: Sendable, Comparable {
    /// Decides first.
    public var first: UInt64
    /// Decides between records whose first numbers are the same.
    public var second: UInt64

    /// Makes a key.
    public init(_ first: UInt64, _ second: UInt64 = 0) {
        self.first = first
        self.second = second
    }

    /// Whether one comes before the other.
    public static func < (a: Self, b: Self) -> Bool { (a.first, a.second) < (b.first, b.second) }
}

extension UInt64 {
    /// A number that orders as this signed one does.
    public init(ordering value: Int64) { self = UInt64(bitPattern: value) ^ (1 << 63) }

    /// The signed number that orders so.
    public var orderedValue: Int64 { Int64(bitPattern: self ^ (1 << 63)) }
}

/// Sorts any number of records in bounded memory.
///
/// Records are held until the memory is full, sorted, and written to a file as one *run*; at the end the runs are
/// merged, in several rounds if there are more than can be read side by side. Data that fits into memory never touches
/// the disk.
public struct ExternalSorter {
    /// The range of a run in the file.
    typealias Run = Range<Int>

    struct Entry {
        var key: SortKey
        var start: Int
        var count: Int
    }

    /// What an entry costs, plus half of that for sorting.
    private static let entryByteCount = MemoryLayout<Entry>.stride * 3 / 2
    /// The most that is reserved at once, because a growing array exists twice; the unused part takes no physical
    /// memory.
    private static let largestReserve = 1 << 30

    /// How many records there are.
    public private(set) var count = 0
    /// How many runs were written to the disk.
    public var runCount: Int { runs.count }

    private let memory: Int
    private let folder: String
    private let isStopped: @Sendable () -> Bool
    private var entries: [Entry] = []
    private var bytes: [UInt8] = []
    private var file: ScratchFile?
    private var runs: [Run] = []

    /// Makes a sorter.
    ///
    /// - Parameters:
    ///   - memory: how many bytes it may take, at least 4,096; one record may be longer.
    ///   - folder: where its file goes, if it needs one.
    ///   - isStopped: asked now and then whether to end.
    public init(memory: Int, folder: String, isStopped: @escaping @Sendable () -> Bool = { false }) {
        precondition(memory >= 4_096, "\(memory) bytes are too few to sort in")
        self.memory = memory
        self.folder = folder
        self.isStopped = isStopped
    }

    /// Whether a record of so many bytes still fits into memory with those that are there.
    public func fits(_ byteCount: Int) -> Bool {
        bytes.count + byteCount + (entries.count + 1) * Self.entryByteCount <= memory
    }

    /// Adds a record.
    ///
    /// - Throws: `SortError` when the disk fails, or sorting is to stop.
    public mutating func add(_ key: SortKey, _ record: [UInt8]) throws(SortError) {
        if !fits(record.count), !entries.isEmpty { try writeRun() }
        if entries.isEmpty, bytes.capacity == 0 {
            bytes.reserveCapacity(min(memory, Self.largestReserve))
            entries.reserveCapacity(min(memory, Self.largestReserve) / Self.entryByteCount)
        }
        entries.append(Entry(key: key, start: bytes.count, count: record.count))
        bytes.append(contentsOf: record)
        count += 1
    }

    /// All records in order; the sorter is empty afterwards.
    ///
    /// - Throws: `SortError` as `add`.
    public mutating func sorted() throws(SortError) -> SortedRecords {
        defer { (entries, bytes, file, runs, count) = ([], [], nil, [], 0) }
        guard var file else {
            sortEntries()
            return SortedRecords(entries: entries, bytes: bytes)
        }
        if !entries.isEmpty { try writeRun() }
        (entries, bytes) = ([], [])
        while runs.count > Self.fanIn(memory) { (file, runs) = try mergeRound(file, runs) }
        return SortedRecords(try RunMerge(file, runs, memory: memory, isStopped: isStopped))
    }

    /// How many runs are merged at once.
    private static func fanIn(_ memory: Int) -> Int { min(512, max(2, memory / (64 << 10))) }

    private mutating func sortEntries() {
        // A record that came later starts later, unless it is empty, and then the order makes no difference.
        entries.sort { ($0.key.first, $0.key.second, $0.start) < ($1.key.first, $1.key.second, $1.start) }
    }

    private mutating func writeRun() throws(SortError) {
        guard !isStopped() else { throw .stopped }
        sortEntries()
        let file = if let file { file } else { try ScratchFile(in: folder) }
        self.file = file
        var writer = RunWriter(file, bufferByteCount: min(1 << 18, memory))
        for entry in entries { try writer.add(entry.key, bytes[entry.start..<(entry.start + entry.count)]) }
        runs.append(try writer.finish())
        entries.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    /// Merges neighbouring runs into longer ones, in another file.
    private func mergeRound(_ file: ScratchFile, _ runs: [Run]) throws(SortError) -> (ScratchFile, [Run]) {
        let target = try ScratchFile(in: folder)
        var merged: [Run] = []
        let fanIn = Self.fanIn(memory)
        var record: [UInt8] = []
        for start in stride(from: 0, to: runs.count, by: fanIn) {
            let some = Array(runs[start..<min(start + fanIn, runs.count)])
            var merge = try RunMerge(file, some, memory: memory, isStopped: isStopped)
            var writer = RunWriter(target, bufferByteCount: min(1 << 18, memory))
            while let key = try merge.next(into: &record) { try writer.add(key, record[...]) }
            merged.append(try writer.finish())
        }
        return (target, merged)
    }
}

/// Records in order, given out one after the other.
public struct SortedRecords {
    private enum Source {
        case memory(entries: [ExternalSorter.Entry], bytes: [UInt8], next: Int)
        case runs(RunMerge)
    }

    private var source: Source

    init(entries: [ExternalSorter.Entry], bytes: [UInt8]) { source = .memory(entries: entries, bytes: bytes, next: 0) }

    init(_ merge: RunMerge) { source = .runs(merge) }

    /// Puts the next record into `record` and gives its key; nil at the end.
    ///
    /// - Throws: `SortError` when the disk fails, or sorting is to stop.
    public mutating func next(into record: inout [UInt8]) throws(SortError) -> SortKey? {
        switch source {
        case .memory(let entries, let bytes, let next):
            guard next < entries.count else { return nil }
            let entry = entries[next]
            record.removeAll(keepingCapacity: true)
            record.append(contentsOf: bytes[entry.start..<(entry.start + entry.count)])
            source = .memory(entries: entries, bytes: bytes, next: next + 1)
            return entry.key
        case .runs(var merge):
            // Kept in one variable only, so that its buffers are not copied.
            source = .memory(entries: [], bytes: [], next: 0)
            defer { source = .runs(merge) }
            return try merge.next(into: &record)
        }
    }
}
