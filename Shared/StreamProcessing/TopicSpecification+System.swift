public import Messages
public import Streams

extension TopicSpecification {
    /// All topics of the system with their companions for rejected records.
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
                    partitionCount: partitionCount,
                    cleanup: .delete(after: Topic.rejectedRetention)
                ),
            ]
        }
    }
}

extension TopicSpecification.Cleanup {
    /// What a topic's own declaration says.
    public init(_ cleanup: Topic.Cleanup) {
        switch cleanup {
        case .delete(let age): self = .delete(after: age)
        case .compact: self = .compact
        }
    }
}
