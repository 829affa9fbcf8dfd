internal import Glibc

/// The layout of a record in a run: two numbers of its key, its length, its bytes.
enum RunRecord {
    static let headByteCount = 20
}

/// Writes records as one run at the end of a file.
struct RunWriter {
    private let file: ScratchFile
    private let start: Int
    private let bufferByteCount: Int
    private var buffer: [UInt8] = []

    init(_ file: ScratchFile, bufferByteCount: Int) {
        self.file = file
        self.bufferByteCount = bufferByteCount
        start = file.byteCount
        buffer.reserveCapacity(bufferByteCount + RunRecord.headByteCount)
    }

    mutating func add(_ key: SortKey, _ record: ArraySlice<UInt8>) throws(SortError) {
        if buffer.count + RunRecord.headByteCount + record.count > bufferByteCount { try flush() }
        withUnsafeBytes(of: key.first.littleEndian) { buffer.append(contentsOf: $0) }
        withUnsafeBytes(of: key.second.littleEndian) { buffer.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt32(record.count).littleEndian) { buffer.append(contentsOf: $0) }
        buffer.append(contentsOf: record)
    }

    /// Writes what is left, and returns the range of the run.
    mutating func finish() throws(SortError) -> ExternalSorter.Run {
        try flush()
        return start..<file.byteCount
    }

    private mutating func flush() throws(SortError) {
        try file.append(buffer)
        buffer.removeAll(keepingCapacity: true)
    }
}

/// Reads one run from its start to its end.
private struct RunReader {
    /// The key of the record that is next.
    private(set) var key = SortKey(0)

    private let file: ScratchFile
    private var place: Int
    private let endOfRun: Int
    private var buffer: [UInt8]
    private var start = 0
    private var end = 0
    private var recordByteCount = 0

    init(_ file: ScratchFile, _ run: ExternalSorter.Run, bufferByteCount: Int) {
        self.file = file
        (place, endOfRun) = (run.lowerBound, run.upperBound)
        buffer = [UInt8](repeating: 0, count: bufferByteCount)
    }

    /// Reads the head of the next record; false at the end.
    mutating func advance() throws(SortError) -> Bool {
        guard try hold(RunRecord.headByteCount) else { return false }
        (key, recordByteCount) = buffer.withUnsafeBytes { bytes in
            (
                SortKey(
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)),
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self))
                ),
                Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 16, as: UInt32.self)))
            )
        }
        start += RunRecord.headByteCount
        return true
    }

    /// Takes the bytes of the record whose head was read.
    mutating func take(into record: inout [UInt8]) throws(SortError) {
        record.removeAll(keepingCapacity: true)
        guard try hold(recordByteCount) else { return }
        record.append(contentsOf: buffer[start..<(start + recordByteCount)])
        start += recordByteCount
    }

    /// Reads on until this many bytes are available; false at the end of the run.
    private mutating func hold(_ count: Int) throws(SortError) -> Bool {
        guard end - start < count else { return true }
        let rest = end - start
        buffer.withUnsafeMutableBytes { bytes in
            _ = bytes.baseAddress.map { memmove($0, $0 + start, rest) }
        }
        (start, end) = (0, rest)
        if buffer.count < count { buffer.append(contentsOf: [UInt8](repeating: 0, count: count - buffer.count)) }
        while end < count {
            let limit = min(buffer.count - end, endOfRun - place)
            guard limit > 0 else { return false }
            let read = try file.read(at: place, into: &buffer, from: end, atMost: limit)
            guard read > 0 else { return false }
            place += read
            end += read
        }
        return true
    }
}

/// Merges runs of a file: of equal keys, those of the earlier run come first.
struct RunMerge {
    private var readers: [RunReader] = []
    /// A heap of the indices of readers that have a record, ordered by their next records.
    private var heap: [Int] = []
    private let isStopped: @Sendable () -> Bool
    private var given = 0

    init(
        _ file: ScratchFile,
        _ runs: [ExternalSorter.Run],
        memory: Int,
        isStopped: @escaping @Sendable () -> Bool
    ) throws(SortError) {
        self.isStopped = isStopped
        let bufferByteCount = min(1 << 20, max(1 << 10, memory / max(runs.count, 1)))
        for run in runs {
            var reader = RunReader(file, run, bufferByteCount: bufferByteCount)
            let hasRecord = try reader.advance()
            readers.append(reader)
            if hasRecord { heap.append(readers.count - 1) }
        }
        for place in (0..<(heap.count / 2)).reversed() { sink(place) }
    }

    mutating func next(into record: inout [UInt8]) throws(SortError) -> SortKey? {
        guard let first = heap.first else { return nil }
        given &+= 1
        if given & 0xFFF == 0, isStopped() { throw .stopped }
        let key = readers[first].key
        try readers[first].take(into: &record)
        if try !readers[first].advance() {
            heap.swapAt(0, heap.count - 1)
            heap.removeLast()
        }
        sink(0)
        return key
    }

    private func isBefore(_ a: Int, _ b: Int) -> Bool {
        let (one, two) = (readers[heap[a]].key, readers[heap[b]].key)
        return one < two || (one == two && heap[a] < heap[b])
    }

    private mutating func sink(_ place: Int) {
        var place = place
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2] where child < heap.count && isBefore(child, least) {
                least = child
            }
            if least == place { return }
            heap.swapAt(place, least)
            place = least
        }
    }
}
