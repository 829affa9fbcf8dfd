/// What can go wrong with the log, whichever it is.
public enum StreamError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The log cannot be reached, or did not answer in time; trying again may help.
    case unavailable(String)
    /// The commit did not happen and will not: the member lost a partition or was fenced.
    case commitRefused(String)
    /// A record is larger than the log takes.
    case tooLarge(topic: String, byteCount: Int, limit: Int)
    /// A topic that is needed does not exist.
    case unknownTopic(String)
    /// A topic exists with another number of partitions than asked for.
    case topicMismatch(topic: String, expected: Int32, found: Int32)
    /// A topic exists with another setting than it needs; the advice says how to change it.
    case settingMismatch(topic: String, setting: String, expected: String, found: String, advice: String)
    /// Records between the committed offset and the first remaining record are gone.
    case offsetGone(TopicPartition, committed: Int64, low: Int64)
    /// The address or a setting is wrong, or the log refused the credentials.
    case configuration(String)
    /// The log was closed by this process.
    case closed
    /// Anything that must end the process.
    case fatal(String)

    /// What failed, on what, and what to do.
    public var description: String {
        switch self {
        case .unavailable(let reason): "the message log is not available: \(reason)"
        case .commitRefused(let reason): "the commit was refused: \(reason)"
        case .tooLarge(let topic, let byteCount, let limit):
            "a record of \(byteCount) bytes for \(topic) is over the limit of \(limit) bytes"
        case .unknownTopic(let topic):
            "there is no topic \(topic): create the topics first (`userllm up` does)"
        case .topicMismatch(let topic, let expected, let found):
            "topic \(topic) has \(found) partitions where \(expected) are configured: set the same number, or use new topics"
        case .settingMismatch(let topic, let setting, let expected, let found, let advice):
            "topic \(topic) has \(setting)=\(found) where \(setting)=\(expected) is needed, or records are lost or never "
                + "go: \(advice)"
        case .offsetGone(let partition, let committed, let low):
            "\(partition): offset \(committed) was deleted by retention; the first that is left is \(low)"
        case .configuration(let reason): reason
        case .closed: "the message log was closed"
        case .fatal(let reason): reason
        }
    }
}

extension StreamError {
    /// The error for a commit of outputs without offsets, which nothing would fence.
    public static func ownerless(_ count: Int) -> StreamError {
        .configuration("a commit of \(count) outputs names no partition: give the offset of one that the member owns")
    }
}
