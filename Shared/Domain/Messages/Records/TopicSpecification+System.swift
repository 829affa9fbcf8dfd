public import MessageLogs

extension TopicSpecification {
    /// All topics of the system, each with its `-rejected` topic, which has one partition.
    ///
    /// - Parameter partitionCount: of every other topic; `user-events` and `user-timelines` must have the same.
    /// - Returns: what to give to `createTopics`.
    public static func system(partitionCount: Int32) -> [TopicSpecification] {
        Topic.allCases.flatMap { topic in
            [
                TopicSpecification(
                    name: topic.rawValue,
                    partitionCount: partitionCount,
                    cleanup: Cleanup(topic.cleanup)
                ),
                TopicSpecification(
                    name: topic.rejected,
                    partitionCount: 1,
                    cleanup: .delete(after: Topic.rejectedRetention)
                ),
            ]
        }
    }
}

extension TopicSpecification.Cleanup {
    fileprivate init(_ cleanup: Topic.Cleanup) {
        switch cleanup {
        case .delete(let after): self = .delete(after: after)
        case .compact: self = .compact
        }
    }
}
