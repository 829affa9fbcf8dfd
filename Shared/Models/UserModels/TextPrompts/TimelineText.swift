public import Catalogues
public import Messages
public import ModelFiles

/// A user's timeline as text: what a language model reads that knows the user by a prompt alone.
///
/// The question states the task, and the answer begins with the list of what the user has had, so that the next title
/// continues it:
/// ```
/// user       List the titles that one user chooses, oldest first, one a line: title | categories =rating
/// assistant  Heat (1995) | Action, Crime, Thriller =4
///            Casino (1995) | Drama, Thriller =5
///            ▮
/// ```
/// Every title of the list is thereby asked for as the last one is, and one causal pass over a text learns from each of
/// its events. Another question about the same user, such as the favourite category, is a line after the list: what a
/// model computed for the list serves all of them, and a new event only adds a line.
///
/// Lines are encoded one by one, and titles apart from the rest of their line: an event has the same tokens in every
/// text, and a title the tokens that it has in the prefix tree of answers.
public struct TimelineText: Sendable {
    /// What is asked after the list.
    public enum Question: Sendable, CaseIterable {
        /// The title of the user's next item.
        case nextTitle
        /// The category most frequent in the list.
        case favouriteCategory
    }

    /// A list with the question after it.
    public struct Prompt: Sendable, Equatable {
        /// The tokens up to the beginning of the answer.
        public var tokens: [Int32]
        /// How many of the latest events are in the list.
        public var eventCount: Int
        /// The place of each listed event's title in `tokens`.
        public var titles: [Range<Int>]
    }

    /// The task, as the user states it.
    public static let task =
        "List the titles that one user chooses, oldest first, one a line: title | categories =rating"
    /// Stands for the title of an item that the catalogue does not have.
    public static let unknownTitle = "(unknown)"
    private static let categoryQuestion = "Favourite category:\n"

    /// The format of question and answer.
    public let format: PromptFormat
    private let catalogue: Catalogue
    private let head: [Int32]
    private let categoryLine: [Int32]
    private let titleTokens: [[Int32]]
    private let categoryTokens: [[Int32]]

    /// Makes the texts of a catalogue's items.
    public init(format: PromptFormat, catalogue: Catalogue) {
        self.format = format
        self.catalogue = catalogue
        head = format.prompt(Self.task)
        categoryLine = format.answer(Self.categoryQuestion)
        titleTokens = catalogue.items.map { format.answer(Self.oneLine($0.title)) }
        categoryTokens = catalogue.items.map { format.answer(Self.text(ofCategories: $0.categories)) }
    }

    /// Tokens of a prompt without events.
    ///
    /// - Parameter question: what is asked after the list.
    /// - Returns: at least 1.
    public func overhead(of question: Question) -> Int { head.count + tail(question).count }

    /// Whether a title is in its line as it is, so that it can be learnt there: one of several lines or none is not.
    public func isWhole(title item: Int) -> Bool {
        let title = catalogue.items[item].title
        return !title.isEmpty && Self.oneLine(title) == title
    }

    /// Tokens of an event's line: its title, and the rest with the end of the line.
    public func line(of event: TimelineEvent) -> (title: [Int32], rest: [Int32]) {
        let item = catalogue.index(of: event.item)
        let title = item.map { titleTokens[$0] } ?? format.answer(Self.unknownTitle)
        let categories =
            if event.categories.isEmpty, let item {
                categoryTokens[item]
            } else {
                format.answer(Self.text(ofCategories: event.categories))
            }
        return (title, categories + format.answer(Self.text(ofRating: event.rating) + "\n"))
    }

    /// Tokens of an event's line.
    public func tokenCount(of event: TimelineEvent) -> Int {
        let (title, rest) = line(of: event)
        return title.count + rest.count
    }

    /// The prompt with as many of the latest events as fit.
    ///
    /// - Parameters:
    ///   - events: the timeline, oldest first; none gives a prompt without a list.
    ///   - question: what is asked after the list.
    ///   - limit: the most tokens of the prompt.
    /// - Returns: the prompt; its list is in the order of time.
    /// - Throws: `ModelConfigurationError` naming `context` when not even the latest event fits.
    public func prompt(
        _ events: some BidirectionalCollection<TimelineEvent>,
        question: Question = .nextTitle,
        tokens limit: Int
    ) throws(ModelConfigurationError) -> Prompt {
        try prompt(events, tail: tail(question), tokens: limit)
    }

    /// The prompt with as many of the latest events as fit, and a line with any question after them.
    ///
    /// - Parameters:
    ///   - events: the timeline, oldest first; none gives a prompt without a list.
    ///   - text: the question.
    ///   - limit: the most tokens of the prompt.
    /// - Returns: the prompt; its list is in the order of time.
    /// - Throws: `ModelConfigurationError` naming `context` when not even the latest event fits.
    public func prompt(
        _ events: some BidirectionalCollection<TimelineEvent>,
        asking text: String,
        tokens limit: Int
    ) throws(ModelConfigurationError) -> Prompt {
        try prompt(events, tail: line(of: text), tokens: limit)
    }

    /// Tokens of a line with a question.
    public func line(of question: String) -> [Int32] { format.answer(Self.oneLine(question) + "\n") }

    private func prompt(
        _ events: some BidirectionalCollection<TimelineEvent>,
        tail: [Int32],
        tokens limit: Int
    ) throws(ModelConfigurationError) -> Prompt {
        var room = limit - head.count - tail.count
        var lines: [(title: [Int32], rest: [Int32])] = []
        for event in events.reversed() {
            let line = line(of: event)
            let count = line.title.count + line.rest.count
            if count > room, !lines.isEmpty { break }
            try require("context", limit, count <= room, "at least \(limit - room + count) tokens, for one event")
            room -= count
            lines.append(line)
        }
        try require("context", limit, room >= 0, "at least \(head.count + tail.count) tokens, for the question")
        var prompt = Prompt(tokens: head, eventCount: lines.count, titles: [])
        for line in lines.reversed() {
            prompt.titles.append(prompt.tokens.count..<prompt.tokens.count + line.title.count)
            prompt.tokens += line.title + line.rest
        }
        prompt.tokens += tail
        return prompt
    }

    /// The list of events as a person reads it: what the answer begins with.
    public func list(_ events: some Sequence<TimelineEvent>) -> String {
        events.map { event in
            let item = catalogue.item(event.item)
            let categories = event.categories.isEmpty ? item?.categories ?? [] : event.categories
            return (item.map { Self.oneLine($0.title) } ?? Self.unknownTitle) + Self.text(ofCategories: categories)
                + Self.text(ofRating: event.rating) + "\n"
        }.joined()
    }

    private func tail(_ question: Question) -> [Int32] { question == .nextTitle ? [] : categoryLine }

    private static func text(ofCategories categories: [String]) -> String {
        categories.isEmpty ? "" : " | " + categories.map(oneLine).joined(separator: ", ")
    }

    /// A whole number of stars is written as one; without a space before it, which would be a token of its own.
    private static func text(ofRating rating: Float?) -> String {
        guard let rating, rating.isFinite else { return "" }
        return rating == rating.rounded() && abs(rating) < 1e6 ? " =\(Int(rating))" : " =\(rating)"
    }

    /// The text with every line break as a space, so that one event never looks like two.
    private static func oneLine(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { isLineBreak($0) ? " " : $0 }))
    }

    private static func isLineBreak(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0A...0x0D, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}
