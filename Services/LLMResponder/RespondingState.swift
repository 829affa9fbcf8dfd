import Bytes
import Messages
import Flows
import MessageLogs

/// What the flow knows of its partitions and their questions, and what the next commit takes.
struct RespondingState {
    /// How far a partition is.
    private struct Progress {
        /// The next offset to be read.
        var position: Int64
        /// Past every question that has an answer in the log, of this process or an earlier one.
        var end: Int64
        /// What the group has; nil while this process has committed nothing.
        var committed: Int64?
    }

    /// What the next commit takes.
    struct Work {
        var answers: [(question: PlacedQuestion, answer: Answer)] = []
        var rejections: [RejectedRecord] = []
        /// Partitions of which something was read or answered.
        var partitions: Set<TopicPartition> = []
        /// Of the answered.
        var keys: Set<QuestionKey> = []
        /// Records that were read.
        var receivedCount = 0
        /// Of these, how many wait now.
        var parkedCount = 0
    }

    private var partitions: [TopicPartition: Progress] = [:]
    /// Whether answers go to the partitions of their questions' numbers.
    var sharesPartitions = false
    var parked: ParkedQuestions
    var answered = AnsweredQuestions()
    var work = Work()
    /// Records of the last batch that nobody has looked at yet.
    private var rest: ArraySlice<Record> = []
    /// When the subscription was last asked what is due.
    var askedAt = ContinuousClock.now
    /// Parked questions that may be answered now, in the order in which that was found out.
    private var ready: [PlacedQuestion.Place] = []
    private var isReady: Set<PlacedQuestion.Place> = []

    /// Begins without partitions.
    init(parking: ParkingLimit) { parked = ParkedQuestions(limit: parking) }

    // MARK: - Partitions

    /// Whether no partition is held.
    var isEmpty: Bool { partitions.isEmpty }

    /// Whether a partition's records are this process's to deal with.
    func holds(_ partition: TopicPartition) -> Bool { partitions[partition] != nil }

    /// Takes over a partition.
    mutating func begin(_ partition: TopicPartition, _ restored: RestoredQuestions) {
        partitions[partition] = Progress(position: restored.start, end: restored.end)
        answered.begin(partition, restored)
    }

    /// Forgets partitions, and gives the users of their parked questions.
    mutating func drop(_ dropped: [TopicPartition]) -> Set<UserID> {
        for partition in dropped { partitions[partition] = nil }
        // They are others' now, or come again from the offset that is committed.
        rest.removeAll { dropped.contains($0.source) }
        answered.forget(dropped)
        return parked.drop(dropped)
    }

    // MARK: - Reading

    /// Takes in the records of a batch, as far as their partitions are held.
    mutating func take(_ batch: Batch) { rest += batch.records.filter { holds($0.source) } }

    /// The first record that nobody has looked at yet.
    var nextRecord: Record? { rest.first }

    /// Notes that the first record is dealt with, or waits; it may be gone, with its partition.
    mutating func advance(past record: Record) {
        guard let first = rest.first, first.source == record.source, first.offset == record.offset else { return }
        rest = rest.dropFirst()
        guard let position = partitions[record.source]?.position else { return }
        partitions[record.source]?.position = max(position, record.offset + 1)
    }

    /// What is before this is done with: the first question that waits, or what is read next.
    private func floor(of partition: TopicPartition) -> Int64? {
        guard let position = partitions[partition]?.position else { return nil }
        return min(position, parked.first(in: partition) ?? position)
    }

    /// How many offsets of each partition were read and are not behind the group.
    var readAhead: [TopicPartition: Int64] {
        var ahead: [TopicPartition: Int64] = [:]
        for (partition, progress) in partitions {
            ahead[partition] = progress.position - (floor(of: partition) ?? progress.position)
        }
        return ahead
    }

    /// The first question that waits in a partition, if more was read since than the group's offset may stay behind.
    func straggler(in partition: TopicPartition, window: Int64) -> PlacedQuestion? {
        guard let position = partitions[partition]?.position, let first = parked.first(in: partition),
            position - first > window
        else { return nil }
        return parked[PlacedQuestion.Place(partition: partition, offset: first)]
    }

    // MARK: - Committing

    /// Notes the answer to a question.
    mutating func answer(_ question: PlacedQuestion, with answer: Answer) {
        work.answers.append((question, answer))
        work.keys.insert(question.key)
        work.partitions.insert(question.place.partition)
    }

    /// The offsets to commit, of the partitions in `work` that are held still.
    var offsets: [TopicPartition: Int64] {
        var offsets: [TopicPartition: Int64] = [:]
        for partition in work.partitions { offsets[partition] = floor(of: partition) }
        return offsets
    }

    /// Whether a commit would say something new.
    var hasNews: Bool {
        !work.answers.isEmpty || !work.rejections.isEmpty
            || offsets.contains { partitions[$0.key]?.committed != $0.value }
    }

    /// How far a partition will be with the next commit.
    func progress(of partition: TopicPartition) -> AnswerProgress {
        AnswerProgress(end: partitions[partition].map { max($0.position, $0.end) } ?? 0)
    }

    /// Leaves out what is of partitions that are not held any more.
    mutating func leaveOutLost() {
        let held = partitions
        work.answers.removeAll { held[$0.question.place.partition] == nil }
        work.rejections.removeAll { held[$0.record.source] == nil }
        work.partitions.formIntersection(held.keys)
    }

    /// Notes that `work` is committed, or needs no commit, and gives it.
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
