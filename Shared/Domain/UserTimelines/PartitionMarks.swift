import Failpoints
import Messages

/// What a partition knows of deleted users: `ForgottenMarks`, and how they arise.
///
/// Records rerouted from one partition keep their order in the other when they arrive for the first time. So if a
/// record of one user came before a deletion, everybody's earlier ones did too: one mark serves all users, whoever they
/// were.
///
/// A mark applies after its deletion. Records before that may be read again, when the log reports an offset that is too
/// small or a commit broke off and left the mark but not everything else. They then count again, and the deletion,
/// which is also repeated and does not lie after itself, removes them again. So each mark is kept as it is for as long
/// as that may happen. Older ones are merged: a rerouted event is then recognized wherever it lies, and a deletion if
/// it lies after their last one.
struct PartitionMarks {
    /// The most marks whose deletions are still known once a batch begins.
    private static let keptCount = Limits.recentMarkCount / 2

    private(set) var marks: ForgottenMarks
    /// How many were added since the batch began.
    private(set) var addedCount = 0
    private var batchStart: Int64 = 0

    /// Takes the marks that a commit stored.
    init(_ marks: ForgottenMarks = ForgottenMarks()) {
        self.marks = marks
    }

    /// Begins a batch of records that are committed together, the first of which lies at an offset.
    mutating func beginBatch(at offset: Int64) {
        batchStart = offset
        addedCount = 0
    }

    /// Whether an event at an offset was rerouted from a position up to which all records have been seen.
    func knows(eventFrom source: Timeline.Source, at offset: Int64) -> Bool {
        isSettled(source) || recentDeletion(source).map { $0 < offset } ?? false
    }

    /// Whether a deletion at an offset was rerouted from such a position, and is not the one that left the mark.
    func knows(deletionFrom source: Timeline.Source, at offset: Int64) -> Bool {
        if isSettled(source) { return marks.settledUntil < offset }
        return recentDeletion(source).map { $0 < offset } ?? false
    }

    /// Adds a mark, unless an existing one covers it.
    ///
    /// - Parameters:
    ///   - source: up to where records came before.
    ///   - deletion: before what.
    mutating func add(_ source: Timeline.Source, deletion: Int64) {
        if isSettled(source) { return }
        if let known = recentDeletion(source), known <= deletion { return }
        if addedCount == 0 { settle() }
        var range = recentPlace(of: source)..<recentPlace(of: source)
        // Marks that reach no further and apply only after a later deletion are redundant.
        while range.lowerBound > 0, isRecent(source.partition, at: range.lowerBound - 1),
            marks.recent[range.lowerBound - 1].deletion >= deletion
        {
            range = (range.lowerBound - 1)..<range.upperBound
        }
        if isRecent(source.partition, at: range.upperBound), marks.recent[range.upperBound].offset == source.offset {
            range = range.lowerBound..<(range.upperBound + 1)
        }
        // As with a timeline's sources, marks beyond what can be stored are not kept separately.
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

    /// The first deletion that left a mark reaching this far.
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

    /// The first index from which on elements meet a condition.
    private static func firstPlace<Element>(in elements: [Element], where isMet: (Element) -> Bool) -> Int {
        var (low, high) = (0, elements.count)
        while low < high {
            let middle = (low + high) / 2
            if isMet(elements[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    // MARK: - Settling

    /// Merges the marks of deletions that are not expected to be repeated, and the oldest where there are too many.
    ///
    /// Never those of this batch: they may be stored while other parts of its commit are not.
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
    /// Begins a batch of a partition's records that are committed together, the first of which lies at an offset.
    mutating func beginBatch(of partition: Int32, at offset: Int64) {
        marks[partition]?.beginBatch(at: offset)
    }

    /// How many marks deletions left since the batch began.
    func newMarkCount(of partition: Int32) -> Int { marks[partition]?.addedCount ?? 0 }

    /// A partition's marks, if deletions left some since the batch began.
    func newMarks(of partition: Int32) -> ForgottenMarks? {
        marks[partition].flatMap { $0.addedCount > 0 ? $0.marks : nil }
    }

    /// Replaces a partition's marks by the stored ones.
    mutating func restore(_ stored: ForgottenMarks, in partition: Int32) {
        marks[partition] = PartitionMarks(stored)
    }

    /// Whether an event was rerouted from a position that belongs to deleted users' past.
    func isForgotten(eventFrom source: Timeline.Source, in partition: Int32, at offset: Int64) -> Bool {
        guard let marks = marks[partition], !Protection.sourceGuard.isOff else { return false }
        return marks.knows(eventFrom: source, at: offset)
    }

    /// Whether a deletion was rerouted from such a position.
    func isForgotten(deletionFrom source: Timeline.Source, in partition: Int32, at offset: Int64) -> Bool {
        guard let marks = marks[partition], !Protection.sourceGuard.isOff else { return false }
        return marks.knows(deletionFrom: source, at: offset)
    }

    /// Keeps as marks the sources that a deletion removes with its user.
    mutating func leaveMarks(_ sources: [Timeline.Source], in partition: Int32, deletion: Int64) {
        guard !sources.isEmpty, !Protection.sourceGuard.isOff else { return }
        for source in sources { marks[partition, default: PartitionMarks()].add(source, deletion: deletion) }
    }
}
