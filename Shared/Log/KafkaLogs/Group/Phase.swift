internal import MessageLogs

/// Where a partition of this member stands between its group, librdkafka and the flow; one that is not the member's has
/// none.
///
/// `isFetched` says whether librdkafka has the partition in its assignment, which is what it fetches. It refuses to add a
/// partition that it has (`_CONFLICT`), and to remove one that it has not (`_INVALID_ARG`), so this has to be known.
enum Phase: Equatable {
    /// The flow was told. Fetching begins when it asks for the next event, for until then it restores the state.
    case assigned(from: Int64, isFetched: Bool)
    /// The flow was told, and has still to let its records come, by `start` or `resume`.
    ///
    /// The partition is kept out of librdkafka's assignment instead of being paused there: librdkafka throws away what a
    /// paused partition has fetched (librdkafka#2052), and 2.0.2 may rewind one that is resumed (librdkafka#4636).
    case paused(from: Int64, isFetched: Bool)
    /// The flow resumed it, and knows of work up to an offset that may be past the committed one.
    case resumed(from: Int64, notBefore: Int64, isFetched: Bool)
    /// Its records come; the position is the offset to deliver next.
    case fetching(position: Int64)
    /// A commit of it failed, and the flow has still to be told that its work since the last one is void.
    case refused(isFetched: Bool)
    /// The flow was told that it lost the partition, although the group has not taken it: unless a rebalance does, it is
    /// assigned again from the committed offset.
    case dropped(isFetched: Bool)

    /// Whether the flow was told that it has the partition, and not yet that it has not.
    var isOwned: Bool {
        if case .dropped = self { false } else { true }
    }

    /// Whether the partition is in librdkafka's assignment.
    var isFetched: Bool {
        switch self {
        case .fetching: true
        case .assigned(_, let isFetched), .paused(_, let isFetched), .resumed(_, _, let isFetched),
            .refused(let isFetched), .dropped(let isFetched):
            isFetched
        }
    }

    /// The offset to deliver next; nil while nothing is delivered.
    var position: Int64? {
        if case .fetching(let position) = self { position } else { nil }
    }

    /// Where to start once the flow lets records come; nil when that is not what is waited for.
    var pausedFrom: Int64? {
        switch self {
        case .paused(let from, _), .resumed(let from, _, _): from
        case .assigned, .fetching, .refused, .dropped: nil
        }
    }
}

/// The offsets of a partition that say where to start.
struct StartingOffset: Equatable {
    /// What the group has committed; nil before its first commit, and for a reader that keeps its offsets itself.
    var committed: Int64?
    /// The low watermark: the first offset that is still there.
    var low: Int64

    /// The offset to start from.
    var start: Int64 { committed ?? low }
}

extension Sequence<TopicPartition> {
    /// By topic, then by number.
    func inOrder() -> [TopicPartition] {
        sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    }
}
