import Datasets
import Messages
import ModelFiles
import UserModels

/// A user whose context is measured, as events and as a prompt.
struct EfficiencySubject: Sendable {
    /// The last events of the user, oldest first.
    let timeline: [TimelineEvent]
    /// The text prompt, with the last events that fit.
    let prompt: [Int32]
    /// Events in the prompt.
    let promptEvents: Int
    /// Tokens of a prompt with all events.
    let allTokens: Int
    /// Tokens of the newest event's line.
    let lastLine: [Int32]
    /// UTF-8 bytes of the timeline as text.
    let textByteCount: Int

    /// Whether events had to be left out of the prompt.
    var isCut: Bool { promptEvents < timeline.count }

    /// Writes a timeline as text.
    ///
    /// - Parameters:
    ///   - timeline: the events, oldest first, at least one.
    ///   - text: writes them.
    ///   - limit: the most tokens of a prompt.
    /// - Throws: `ModelConfigurationError` when not even the latest event fits.
    init(_ timeline: [TimelineEvent], text: TimelineText, tokens limit: Int) throws(ModelConfigurationError) {
        let written = try text.prompt(timeline, question: .nextTitle, tokens: limit)
        self.timeline = timeline
        (prompt, promptEvents) = (written.tokens, written.eventCount)
        allTokens = timeline.reduce(text.overhead(of: .nextTitle)) { $0 + text.tokenCount(of: $1) }
        lastLine =
            timeline.last.map {
                let line = text.line(of: $0)
                return line.title + line.rest
            } ?? []
        textByteCount = text.list(timeline).utf8.count
    }

    /// Chooses users with at least so many events, spread over all of them.
    ///
    /// - Parameters:
    ///   - dataset: the users and their events.
    ///   - events: how many events a user must have.
    ///   - count: the most users.
    /// - Returns: the chosen ones, and how many there are.
    static func users(
        of dataset: PreparedDataset,
        withEvents events: Int,
        count: Int
    ) -> (chosen: [Int], available: Int) {
        let all = dataset.users.indices.filter { dataset.eventCount(ofUser: $0) >= events }
        let chosen = min(count, all.count)
        return ((0..<chosen).map { all[$0 * all.count / chosen] }, all.count)
    }
}
