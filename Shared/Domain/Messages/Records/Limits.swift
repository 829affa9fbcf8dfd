import MessageLogs

/// Size limits for the parts of a record; larger ones are refused with an error that names the field.
public enum Limits {
    /// UTF-8 bytes of an id: of a user, an item, an event, a question, a model version.
    public static let identifierByteCount = 512
    /// UTF-8 bytes of a text: of an event, a question, an answer.
    public static let textByteCount = 65_536
    /// UTF-8 bytes of a question's system prompt, turns and text together: as many as its text alone may have.
    public static let conversationByteCount = textByteCount
    /// Earlier turns of a question's conversation.
    public static let turnCount = 64
    /// Texts at which an answer ends.
    public static let stopCount = 8
    /// UTF-8 bytes of a text at which an answer ends.
    public static let stopByteCount = 256
    /// Likeliest tokens that an answer may be sampled from: more than a vocabulary has.
    public static let topK = 1_000_000
    /// Categories of one event.
    public static let categoryCount = 64
    /// UTF-8 bytes of the name of a category or of an event's type.
    public static let nameByteCount = 256
    /// UTF-8 bytes of an item's title.
    public static let titleByteCount = 4_096
    /// Events of a timeline.
    public static let timelineEventCount = 10_000
    /// Distinct items that are remembered of a user's events, to leave them out of answers.
    public static let seenItemCount = 1_000
    /// Partitions that are tracked as sources of one user's rerouted records.
    public static let sourceCount = 4_096
    /// Marks of deletions that are kept separately: with all others they take less than half of a log record's size
    /// limit.
    public static let recentMarkCount = 16_384
    /// Rebuilds of a user's timeline.
    public static let generation: UInt32 = 1_000_000
    /// Sum of `TimelineEvent.storedByteCount` over the events and earlier items of a timeline of more than one event: a
    /// log takes records of 1 MiB.
    public static let timelineByteCount = 950_000
    /// Items of an answer, and that a question may ask for.
    public static let itemCount = 1_000
    /// Tokens that a question may ask for.
    public static let tokenCount = 8_192
    /// Numbers of one vector or context.
    public static let numberCount = 1_048_576
    /// How long a question may wait for its answer after it was asked, in milliseconds, whatever its deadline says: a
    /// day, which is how long the log keeps it.
    public static let waitingMilliseconds: Int64 = 86_400_000
    /// Times: those that a record of a log may have, from 1970 to the end of the year 9999, in milliseconds.
    public static let times = Record.times
}
