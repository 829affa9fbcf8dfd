import Failpoints
import Messages

/// What a partition knows of users who were deleted: `ForgottenMarks`, and how they come about.
///
/// Records that were sent on from one partition lie in another in the order of the first, when they come the first time. So
/// if one of a user came before a deletion, everybody's from before it did: one mark serves all users, whoever they were.
///
/// A mark holds behind its deletion. What lies before that may be taken again, when the log tells an offset that is too
/// small or a commit broke off and left the mark and not all else: it then counts again, and the deletion, which comes again
/// too and is not behind itself, takes it away again. So each mark is kept as it is for as long as that may happen. Older
/// ones are joined: an event that was sent on is then known wherever it lies, and a deletion behind the last of theirs.
struct PartitionMarks {
    /// Of so many at most it is still known which deletion left them, once a batch begins.
    private static let keptCount = Limits.recentMarkCount / 2

    private(set) var marks: ForgottenMarks
    /// How many were added since the batch began.
    private(set) var addedCount = 0
    private var batchStart: Int64 = 0

    /// Takes what a commit left.
    init(_ marks: ForgottenMarks = ForgottenMarks()) {
        self.marks = marks
    }

    /// Begins to take records that are committed together, the first of which lies at an offset.
    mutating func beginBatch(at offset: Int64) {
        batchStart = offset
        addedCount = 0
    }

    /// Whether an event that lies at an offset was sent on from a place from which all came before.
    func knows(eventFrom source: Timeline.Source, at offset: Int64) -> Bool {
        isSettled(source) || recentDeletion(source).map { $0 < offset } ?? false
    }

    /// Whether a deletion that lies at an offset was sent on from such a place, and is not the one that left the mark.
    func knows(deletionFrom source: Timeline.Source, at offset: Int64) -> Bool {
        if isSettled(source) { return marks.settledUntil < offset }
        return recentDeletion(source).map { $0 < offset } ?? false
    }

    /// Adds a mark, unless what is there says so already.
    ///
    /// - Parameters:
    ///   - source: up to where records came before.
    ///   - deletion: before what.
    mutating func add(_ source: Timeline.Source, deletion: Int64) {
        if isSettled(source) { return }
        if let known = recentDeletion(source), known <= deletion { return }
        if addedCount == 0 { settle() }
        var range = recentPlace(of: source)..<recentPlace(of: source)
        // Those that reach no further and hold only behind a later deletion say nothing more.
        while range.lowerBound > 0, isRecent(source.partition, at: range.lowerBound - 1),
            marks.recent[range.lowerBound - 1].deletion >= deletion
        {
            range = (range.lowerBound - 1)..<range.upperBound
        }
        if isRecent(source.partition, at: range.upperBound), marks.recent[range.upperBound].offset == source.offset {
            range = range.lowerBound..<(range.upperBound + 1)
        }
        // As with the sources of a timeline: more than can be stored are not told apart.
        guard marks.recent.count - range.count < Limits.recentMarkCount else { return }
        let mark = ForgottenMarks.Mark(partition: source.partition, offset: source.offset, deletion: deletion)
        marks.recent.replaceSubrange(range, with: CollectionOfOne(mark))
        addedCount += 1
    }

    // MARK: - Looking up

    private func isSettled(_ source: Timeline.Source) -> Bool {
        let place = settledPlace(of: source.partition)
        return place < marks.settled.count && marks.settled[place].partition == source.partition
            && marks.settled[place].offset >= source.offset
    }

    /// The first deletion that left a mark which reaches so far.
    private func recentDeletion(_ source: Timeline.Source) -> Int64? {
        let place = recentPlace(of: source)
        return isRecent(source.partition, at: place) ? marks.recent[place].deletion : nil
    }

    private func isRecent(_ partition: Int32, at place: Int) -> Bool {
        place < marks.recent.count && marks.recent[place].partition == partition
    }

    private func settledPlace(of partition: Int32) -> Int {
        Self.firstPlace(in: marks.settled) { $0.partition >= partition }
    }

    private func recentPlace(of source: Timeline.Source) -> Int {
        Self.firstPlace(in: marks.recent) { ($0.partition, $0.offset) >= (source.partition, source.offset) }
    }

    /// The first place from which on elements meet a condition.
    private static func firstPlace<Element>(in elements: [Element], where isMet: (Element) -> Bool) -> Int {
        var (low, high) = (0, elements.count)
        while low < high {
            let middle = (low + high) / 2
            if isMet(elements[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    // MARK: - Settling

    /// Joins marks of deletions that are not expected to come again, and the oldest where there are too many.
    ///
    /// Never those of this batch: they may be there while not all else of its commit is.
    private mutating func settle() {
        var end = max(0, batchStart) - Timelines.repeatedCount
        if marks.recent.count > Self.keptCount {
            let deletions = marks.recent.map(\.deletion).sorted()
            end = max(end, min(deletions[deletions.count - Self.keptCount], batchStart))
        }
        for mark in marks.recent where mark.deletion < end {
            let place = settledPlace(of: mark.partition)
            if place < marks.settled.count, marks.settled[place].partition == mark.partition {
                marks.settled[place].offset = max(marks.settled[place].offset, mark.offset)
            } else if marks.settled.count < Limits.sourceCount {
                marks.settled.insert(Timeline.Source(partition: mark.partition, offset: mark.offset), at: place)
            }
            marks.settledUntil = max(marks.settledUntil, mark.deletion)
        }
        marks.recent.removeAll { $0.deletion < end }
    }
}

extension TimelineStore {
    /// Begins to take records of a partition that are committed together, the first of which lies at an offset.
    mutating func beginBatch(of partition: Int32, at offset: Int64) {
        marks[partition]?.beginBatch(at: offset)
    }

    /// How many marks deletions left since the batch began.
    func newMarkCount(of partition: Int32) -> Int { marks[partition]?.addedCount ?? 0 }

    /// A partition's marks, if deletions left some since the batch began.
    func newMarks(of partition: Int32) -> ForgottenMarks? {
        marks[partition].flatMap { $0.addedCount > 0 ? $0.marks : nil }
    }

    /// Takes a partition's marks as they were stored, in place of those before.
    mutating func restore(_ stored: ForgottenMarks, in partition: Int32) {
        marks[partition] = PartitionMarks(stored)
    }

    /// Whether an event was sent on from a place that belongs to deleted users' past.
    func isForgotten(eventFrom source: Timeline.Source, in partition: Int32, at offset: Int64) -> Bool {
        guard let marks = marks[partition], !Protection.sourceGuard.isOff else { return false }
        return marks.knows(eventFrom: source, at: offset)
    }

    /// Whether a deletion was sent on from such a place.
    func isForgotten(deletionFrom source: Timeline.Source, in partition: Int32, at offset: Int64) -> Bool {
        guard let marks = marks[partition], !Protection.sourceGuard.isOff else { return false }
        return marks.knows(deletionFrom: source, at: offset)
    }

    /// Keeps what a deletion takes with its user of where records were sent on from.
    mutating func leaveMarks(_ sources: [Timeline.Source], in partition: Int32, deletion: Int64) {
        guard !sources.isEmpty, !Protection.sourceGuard.isOff else { return }
        for source in sources { marks[partition, default: PartitionMarks()].add(source, deletion: deletion) }
    }
}
