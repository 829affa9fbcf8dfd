internal import MessageLogs

/// A member of a group as a state machine: what happened goes in as an event, what is to be done comes out as actions.
///
/// It calls nobody and waits for nothing, so every transition is tested without a broker.
/// ```
///                starts read                      next requested
///  (not ours) ────────────┬──> assigned ──────────────────────────┬──> fetching
///       ^                 └──> paused ──────────── started ───────┤
///       │                        └─ resumed ─> resumed ── idle ───┘
///       │ revoked, lost: from every phase
///       │
///  dropped <── idle, the flow is told ── refused <── commit failed: from every phase but dropped
///     └── idle ──> starts are read again
/// ```
/// A rebalance is kept until the flow is done with its batch: until it is answered nobody else gets the partitions, so the
/// batch can still be committed.
struct GroupState {
    private let pausesNewPartitions: Bool
    private var phases: [TopicPartition: Phase] = [:]
    /// Came while the flow was at work.
    private var rebalance: Rebalance?
    /// An assignment was told to the flow, and is answered when the flow asks for the next event.
    private var owesAnswer = false
    /// The reader follows all partitions, and the flow has not been told yet.
    private var announces = false
    /// Before this, dropped partitions are left to the rebalance that takes them.
    private var reassignsFrom: ContinuousClock.Instant?

    /// A member without partitions; with `pausesNewPartitions` the flow lets their records come.
    init(pausesNewPartitions: Bool) {
        self.pausesNewPartitions = pausesNewPartitions
    }

    /// Takes in what happened.
    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .followed(let offsets):
            announces = true
            return fetch(offsets)
        case .rebalanced(let rebalance):
            self.rebalance = rebalance
            return []
        case .nextRequested:
            guard owesAnswer else { return [] }
            owesAnswer = false
            return fetch(phases.compactMapValues { if case .assigned(let from, _) = $0 { from } else { nil } })
        case .idle(let isLost, let now): return proceed(isLost: isLost, now: now)
        case .startsRead(let starts): return assign(starts)
        case .endsRead(let ends): return settleResumed(ends)
        case .started(let offsets): return start(at: offsets)
        case .resumed(let offsets): return resume(notBefore: offsets)
        case .commitFailed(let partitions): return refuse(partitions)
        case .rebalanceExpected(let until):
            reassignsFrom = until
            return []
        case .emptyAssignmentAwaited:
            guard rebalance == .assign([]) else { return [] }
            rebalance = nil
            return fetch([:])
        }
    }

    // MARK: - Questions

    /// Partitions that the flow was told are its own, and not yet told are not.
    var owned: Set<TopicPartition> { Set(phases.lazy.filter(\.value.isOwned).map(\.key)) }

    /// Partitions that are in librdkafka's assignment.
    var fetched: Set<TopicPartition> { Set(phases.lazy.filter(\.value.isFetched).map(\.key)) }

    /// Where a partition stands; nil when it is not the member's.
    func phase(of partition: TopicPartition) -> Phase? { phases[partition] }

    /// Whether the flow was told that it has a partition.
    func owns(_ partition: TopicPartition) -> Bool { phases[partition]?.isOwned ?? false }

    /// Whether a partition can be committed: once one commit failed, no later one may go over it.
    func mayCommit(_ partition: TopicPartition) -> Bool {
        if case .refused = phases[partition] { false } else { owns(partition) }
    }

    /// Whether a rebalance waits for its turn.
    var hasRebalance: Bool { rebalance != nil }

    /// Whether no event but records is due.
    var isSettled: Bool {
        guard !announces, !owesAnswer, rebalance == nil else { return false }
        return phases.values.allSatisfy { phase in
            switch phase {
            case .refused, .dropped: false
            case .assigned, .paused, .resumed, .fetching: true
            }
        }
    }

    // MARK: - Records

    /// Moves the position over a record; false when the record is not to be delivered.
    ///
    /// What was fetched before a revocation, or before a step back, may still be on its way. Asked for each record, so it is
    /// no event.
    mutating func accept(_ offset: Int64, of partition: TopicPartition) -> Bool {
        guard let index = phases.index(forKey: partition), let position = phases.values[index].position,
            offset >= position
        else { return false }
        phases.values[index] = .fetching(position: offset + 1)
        return true
    }

    // MARK: - Steps

    /// The next step when nothing is under way; none when it is time to read.
    private mutating func proceed(isLost: Bool, now: ContinuousClock.Instant) -> [Action] {
        if announces {
            announces = false
            return [.tellAssigned(owned.inOrder())]
        }
        let refused = partitions { if case .refused = $0 { true } else { false } }
        if !refused.isEmpty { return drop(refused) }
        switch rebalance {
        case .revoke(let partitions): return revoke(partitions, isLost: isLost)
        case .assign([]):
            rebalance = nil
            return fetch([:])
        // Kept until the offsets are known, so that a failure can be tried again.
        case .assign(let partitions): return [.readStarts(partitions)]
        case nil: break
        }
        // To fetch anything would clear librdkafka's mark that the assignment is lost, and the revocation that is on its
        // way would pass for an orderly one.
        guard !isLost else { return [] }
        let dropped = partitions { if case .dropped = $0 { true } else { false } }
        if !dropped.isEmpty, reassignsFrom.map({ now >= $0 }) ?? true { return [.readStarts(dropped)] }
        return startResumed()
    }

    /// Takes partitions that a rebalance gave, or that were dropped, and tells the flow.
    private mutating func assign(_ starts: [TopicPartition: StartingOffset]) -> [Action] {
        var given: [TopicPartition] = []
        if case .assign(let partitions) = rebalance { given = partitions }
        let new = starts.filter { partition, _ in
            if case .dropped = phases[partition] { true } else { given.contains(partition) }
        }
        guard !new.isEmpty else { return [] }
        // The flow may know better where a paused one starts; the fetch would tell.
        if !pausesNewPartitions {
            for partition in new.keys.inOrder() {
                guard let offset = new[partition], offset.start < offset.low else { continue }
                return [.fail(.offsetGone(partition, committed: offset.start, low: offset.low))]
            }
        }
        for (partition, offset) in new {
            let isFetched = phases[partition]?.isFetched ?? false
            phases[partition] =
                pausesNewPartitions
                ? .paused(from: offset.start, isFetched: isFetched)
                : .assigned(from: offset.start, isFetched: isFetched)
        }
        if !given.isEmpty, given.allSatisfy({ new[$0] != nil }) { rebalance = nil }
        owesAnswer = true
        return [.tellAssigned(new.keys.inOrder())]
    }

    /// Gives partitions up.
    ///
    /// The flow asked for this event, so it is done with their last batch, and others may have them.
    private mutating func revoke(_ partitions: [TopicPartition], isLost: Bool) -> [Action] {
        let visible = partitions.filter(owns)
        let given = Set(partitions.filter { phases[$0]?.isFetched ?? false })
        for partition in partitions { phases[partition] = nil }
        rebalance = nil
        var actions: [Action] = [.commitAdvisory(partitions), .discardRecords, .change(.remove(given))]
        if !isLost { actions.append(.awaitEmptyAssignment) }
        if !visible.isEmpty { actions.append(.tellRevoked(visible.inOrder(), lost: isLost)) }
        return actions
    }

    private mutating func refuse(_ partitions: Set<TopicPartition>) -> [Action] {
        for partition in partitions {
            guard let phase = phases[partition], phase.isOwned else { continue }
            phases[partition] = .refused(isFetched: phase.isFetched)
        }
        return []
    }

    private mutating func drop(_ refused: [TopicPartition]) -> [Action] {
        for partition in refused { phases[partition] = .dropped(isFetched: phases[partition]?.isFetched ?? false) }
        return [.discardRecords, .tellRevoked(refused, lost: true)]
    }

    private mutating func start(at offsets: [TopicPartition: Int64]) -> [Action] {
        let paused = phases.compactMapValues(\.pausedFrom)
        var starts: [TopicPartition: Int64] = [:]
        for partition in paused.keys.inOrder() {
            guard let low = paused[partition] else { continue }
            let offset = offsets[partition] ?? low
            guard offset >= low else { return [.fail(.offsetGone(partition, committed: offset, low: low))] }
            starts[partition] = offset
        }
        guard !starts.isEmpty else { return [] }
        // Whoever had them before may have ended between its own commit and the advisory one.
        guard owesAnswer else { return [.noteAdvisory(starts)] + fetch(starts) }
        for (partition, offset) in starts {
            phases[partition] = .assigned(from: offset, isFetched: phases[partition]?.isFetched ?? false)
        }
        return [.noteAdvisory(starts)]
    }

    private mutating func resume(notBefore offsets: [TopicPartition: Int64]) -> [Action] {
        for (partition, offset) in offsets {
            guard case .paused(let from, let isFetched) = phases[partition] else { continue }
            phases[partition] = .resumed(from: from, notBefore: offset, isFetched: isFetched)
        }
        return []
    }

    /// Fetches what the flow resumed, once the ends of those that start past the committed offset are known.
    private mutating func startResumed() -> [Action] {
        let ahead = partitions { if case .resumed(let from, let known, _) = $0 { known > from } else { false } }
        guard ahead.isEmpty else { return [.readEnds(ahead)] }
        let starts = phases.compactMapValues { if case .resumed(let from, _, _) = $0 { from } else { nil } }
        return starts.isEmpty ? [] : fetch(starts)
    }

    /// An offset past the end is of a topic that was made anew since.
    private mutating func settleResumed(_ ends: [TopicPartition: Int64]) -> [Action] {
        for (partition, end) in ends {
            guard case .resumed(let committed, let known, let isFetched) = phases[partition] else { continue }
            let start = known <= end ? max(known, committed) : committed
            phases[partition] = .resumed(from: start, notBefore: start, isFetched: isFetched)
        }
        return []
    }

    /// Fetches from these offsets, also what is being fetched from another.
    private mutating func fetch(_ starts: [TopicPartition: Int64]) -> [Action] {
        let again = Set(starts.keys.filter { phases[$0]?.isFetched ?? false })
        for (partition, start) in starts { phases[partition] = .fetching(position: start) }
        return [.change(.add(starts, again: again, all: phases.compactMapValues(\.position)))]
    }

    private func partitions(where isWanted: (Phase) -> Bool) -> [TopicPartition] {
        phases.filter { isWanted($0.value) }.keys.inOrder()
    }
}
