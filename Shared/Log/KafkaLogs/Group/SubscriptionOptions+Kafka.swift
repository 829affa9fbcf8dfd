internal import MessageLogs

extension SubscriptionOptions {
    /// The group's name; nil for a reader without one.
    var groupName: String? {
        switch membership {
        case .group(let name), .groupWithOwnOffsets(let name): name
        case .tail: nil
        }
    }

    /// Whether the group's offsets say where the reader goes on.
    var commitsToGroup: Bool {
        if case .group = membership { true } else { false }
    }

    /// Whether the flow lets records of new partitions come.
    var pausesNewPartitions: Bool {
        if case .groupWithOwnOffsets = membership { true } else { holdsNewPartitions }
    }

    /// Names the member's transactions; nil for a reader without a group.
    var transactionalId: String? { groupName.map { "\($0)-\(memberName)" } }

    /// How long a transaction may take: it must be over before others may have the partitions.
    var transactionTimeout: Duration {
        max(.seconds(1), sessionTimeout * 4 / 5)
    }
}
