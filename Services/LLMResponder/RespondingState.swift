import Bytes
import Messages
import Flows
import MessageLogs

/// The flow's state of its partitions and questions, and the contents of the next commit.
struct RespondingState {
    /// The progress of a partition.
    private struct Progress {
        /// The next offset to be read.
        var position: Int64
        /// One past the last question that has an answer in the log, from this process or an earlier one.
        var end: Int64
        /// The group's committed offset; nil while this process has committed nothing.
        var committed: Int64?
    }

    /// The contents of the next commit.
    struct Work {
        var answers: [(question: PlacedQuestion, answer: Answer)] = []
        var rejections: [RejectedRecord] = []
        /// Partitions in which something was read or answered.
        var partitions: Set<TopicPartition> = []
        /// The answered questions.
        var keys: Set<QuestionKey> = []
        /// Questions that began to wait.
        var parkedCount = 0
        /// Records that need no answer: their question has one, or will have.
        var copyCount = 0
        /// When the first of its questions was taken, or its first record read.
        var start: ContinuousClock.Instant?
    }

    private var partitions: [TopicPartition: Progress] = [:]
    /// Whether answers go to the partitions with the same numbers as their questions'.
    var sharesPartitions = false
    var parked: ParkedQuestions
    var running = RunningQuestions()
    var answered = AnsweredQuestions()
    var work = Work()
    /// Unprocessed records of the last batch.
    private var rest: ArraySlice<Record> = []
    /// When the subscription was last polled.
    var polledAt = ContinuousClock.now
    /// The deadline of the first unprocessed question, where there is no room for it; milliseconds since 1970.
    var nextDue: Int64?
    /// Parked questions that may be answered now, in the order in which they became ready.
    private var ready: [PlacedQuestion.Place] = []
    private var isReady: Set<PlacedQuestion.Place> = []

    /// Begins without partitions.
    init(parking: ParkingLimit) { parked = ParkedQuestions(limit: parking) }

    // MARK: - Partitions

    /// Whether no partition is held.
    var isEmpty: Bool { partitions.isEmpty }

    /// Whether this process owns a partition.
    func holds(_ partition: TopicPartition) -> Bool { partitions[partition] != nil }

    /// Takes over a partition.
    mutating func begin(_ partition: TopicPartition, _ restored: RestoredQuestions) {
        partitions[partition] = Progress(position: restored.start, end: restored.end)
        answered.begin(partition, restored)
    }

    /// Drops partitions, and returns the users of their parked questions and the answers to cancel.
    mutating func drop(_ dropped: [TopicPartition]) -> (users: Set<UserID>, running: [Responder.Ticket]) {
        for partition in dropped { partitions[partition] = nil }
        // They belong to others now, or are read again from the committed offset.
        rest.removeAll { dropped.contains($0.source) }
        answered.forget(dropped)
        return (parked.drop(dropped), running.drop { dropped.contains($0) })
    }

    // MARK: - Reading

    /// Takes the records of a batch whose partitions are held.
    mutating func take(_ batch: Batch) { rest += batch.records.filter { holds($0.source) } }

    /// The first unprocessed record.
    var nextRecord: Record? { rest.first }

    /// Marks the first record as done or waiting; it may already be gone, with its partition.
    mutating func advance(past record: Record) {
        guard let first = rest.first, first.source == record.source, first.offset == record.offset else { return }
        rest = rest.dropFirst()
        guard let position = partitions[record.source]?.position else { return }
        partitions[record.source]?.position = max(position, record.offset + 1)
    }

    /// Everything before this offset is done: that of the first question without an answer, or the next one to read.
    private func restartOffset(of partition: TopicPartition) -> Int64? {
        guard let position = partitions[partition]?.position else { return nil }
        return min(position, parked.first(in: partition) ?? position, running.first(in: partition) ?? position)
    }

    /// How many offsets of each partition were read but not committed for the group.
    var readAhead: [TopicPartition: Int64] {
        var ahead: [TopicPartition: Int64] = [:]
        for (partition, progress) in partitions {
            ahead[partition] = progress.position - (restartOffset(of: partition) ?? progress.position)
        }
        return ahead
    }

    /// The first question that waits in a partition, if the committed offset lags further behind than the window
    /// allows.
    func straggler(in partition: TopicPartition, window: Int64) -> PlacedQuestion? {
        guard let position = partitions[partition]?.position, let first = parked.first(in: partition),
            position - first > window
        else { return nil }
        return parked[PlacedQuestion.Place(partition: partition, offset: first)]
    }

    // MARK: - Committing

    /// Whether a question has its answer, or will have it from this process.
    func knows(_ question: PlacedQuestion, appendedAt: Int64) -> Bool {
        answered.contains(question, appendedAt: appendedAt) || parked.contains(question.key)
            || running.contains(question.key) || work.keys.contains(question.key)
    }

    /// Notes the answer to a question, which was taken at a time.
    mutating func answer(_ question: PlacedQuestion, with answer: Answer, since start: ContinuousClock.Instant = .now) {
        work.start = min(work.start ?? start, start)
        work.answers.append((question, answer))
        work.keys.insert(question.key)
        work.partitions.insert(question.place.partition)
    }

    /// The offsets to commit, for the partitions in `work` that are still held.
    var offsets: [TopicPartition: Int64] {
        var offsets: [TopicPartition: Int64] = [:]
        for partition in work.partitions { offsets[partition] = restartOffset(of: partition) }
        return offsets
    }

    /// Whether a commit would change anything.
    var hasNews: Bool {
        !work.answers.isEmpty || !work.rejections.isEmpty
            || offsets.contains { partitions[$0.key]?.committed != $0.value }
    }

    /// The progress of a partition after the next commit.
    func progress(of partition: TopicPartition) -> AnswerProgress {
        AnswerProgress(end: partitions[partition].map { max($0.position, $0.end) } ?? 0)
    }

    /// Removes everything that belongs to partitions no longer held.
    mutating func leaveOutLost() {
        let held = partitions
        work.answers.removeAll { held[$0.question.place.partition] == nil }
        work.rejections.removeAll { held[$0.record.source] == nil }
        work.partitions.formIntersection(held.keys)
    }

    /// Marks `work` as committed, or as needing no commit, and returns it.
    mutating func finish(_ offsets: [TopicPartition: Int64], isCommitted: Bool, now: Int64) -> Work {
        for (partition, offset) in offsets where isCommitted { partitions[partition]?.committed = offset }
        for (partition, answers) in Dictionary(grouping: work.answers, by: \.question.place.partition) {
            let position = partitions[partition]?.position ?? 0
            answered.insert(answers.map(\.question.key), in: partition, at: now, position: position)
        }
        defer { work = Work() }
        return work
    }

    // MARK: - Parked questions

    /// Notes parked questions that may be answered now.
    mutating func makeReady(_ places: some Sequence<PlacedQuestion.Place>) {
        for place in places where isReady.insert(place).inserted { ready.append(place) }
    }

    /// Whether parked questions may be answered now.
    var hasReady: Bool { !ready.isEmpty }

    /// The first parked questions that may be answered now; they stay parked.
    mutating func takeReady(atMost count: Int) -> [PlacedQuestion] {
        let places = ready.prefix(count)
        ready.removeFirst(places.count)
        isReady.subtract(places)
        return places.compactMap { parked[$0] }
    }
}
