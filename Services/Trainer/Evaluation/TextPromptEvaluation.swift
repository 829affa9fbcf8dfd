import Catalogues
import Datasets
import LanguageEngine
import Messages
import UserModels

/// Asks a language model about every user's held-out event, from the timeline as text, with the engine that serves.
struct TextPromptEvaluation: Sendable {
    let text: TimelineText
    let answers: KnownAnswers
    let features: EventFeatures
    let dataset: PreparedDataset
    /// The most events of a text; nil for as many as fit.
    let events: Int?
    /// Users whose first answers are kept, whether or not they count.
    var shownUsers: [Int] = []

    /// The results.
    struct Result: Sendable {
        /// Ranks of the next title; items the user has already had cannot be the answer.
        var titles = RankingMetrics()
        /// Ranks of the next title among all titles.
        var titlesUnfiltered = RankingMetrics()
        /// The same model asked without the user; seen items are left out.
        var titlesWithoutUser = RankingMetrics()
        /// Users asked for their favourite category.
        var categoryCount = 0
        var rightCategories = 0
        /// Correct answers if every user is given the category that is most often the favourite.
        var rightMostFrequent = 0
        /// Of questions whose prompt nothing is known of: how many, what they took, and what they read.
        var first = Cost()
        /// Of further questions about the same users, whose prompts are mostly in the cache.
        var further = Cost()
        /// What was answered about the shown users, in their order.
        var examples: [AnswerExample] = []

        /// Share of correct favourite categories.
        var categoryAccuracy: Double { Double(rightCategories) / Double(max(categoryCount, 1)) }
        /// The same for the most frequent favourite.
        var mostFrequentAccuracy: Double { Double(rightMostFrequent) / Double(max(categoryCount, 1)) }
    }

    /// What questions took.
    struct Cost: Sendable {
        var questions = 0
        var seconds = 0.0
        var promptTokens = 0
        var cachedTokens = 0
        var events = 0

        func mean(_ sum: Int) -> Double { Double(sum) / Double(max(questions, 1)) }
        var milliseconds: Double { seconds * 1_000 / Double(max(questions, 1)) }
    }

    /// How many titles are ranked; a title further down counts as not found.
    private static let depth = 10
    /// Users who are asked about at the same time.
    private static let batchCount = 8

    /// What is known of a user.
    private struct Subject {
        let user: Int
        let target: Int
        let seen: Set<Int>
        let timeline: [TimelineEvent]
    }

    /// Evaluates some users.
    func evaluate(users: [Int], with engine: TextPromptEngine) throws -> Result {
        let withoutUser = try rankingWithoutUser(engine)
        var shown: [Int: [Int]] = [:]
        func asked(_ users: [Int]) throws -> Result {
            var result = Result()
            var favourites: [Int32: Int] = [:]
            for start in stride(from: 0, to: users.count, by: Self.batchCount) {
                let subjects = users[start..<min(start + Self.batchCount, users.count)].map(subject)
                try ask(subjects, engine, &result, &favourites, &shown)
                for subject in subjects {
                    let unseen = withoutUser.lazy.filter { !subject.seen.contains($0) }.prefix(Self.depth)
                    result.titlesWithoutUser.add(rank: rank(Array(unseen), of: subject.target))
                }
            }
            result.rightMostFrequent = favourites.values.max() ?? 0
            return result
        }
        var result = try asked(users)
        // Who is shown without being counted is asked as well; these ranks and costs are nobody's.
        _ = try asked(shownUsers.filter { shown[$0] == nil })
        result.examples = shownUsers.map { user in
            let titles = (shown[user] ?? []).map { AnswerExample.Title(dataset.catalogue.items[$0]) }
            return AnswerExample(dataset, user: user, answers: [.textPrompt: titles])
        }
        return result
    }

    private func subject(_ user: Int) -> Subject {
        let last = dataset.eventCount(ofUser: user) - 1
        let target = dataset.item(user: user, last)
        return Subject(
            user: user,
            target: target,
            // An item that was had before can be the next one all the same, as in the encoder's ranking.
            seen: Set((0..<last).map { dataset.item(user: user, $0) }).subtracting([target]),
            timeline: dataset.timeline(user: user, (events.map { max(last - $0, 0) } ?? 0)..<last)
        )
    }

    private func ask(
        _ subjects: [Subject],
        _ engine: TextPromptEngine,
        _ result: inout Result,
        _ favourites: inout [Int32: Int],
        _ shown: inout [Int: [Int]]
    ) throws {
        let first = subjects.map { TextPromptEngine.Question($0.timeline, count: Self.depth) }
        let unfiltered = try timed(first, engine, &result.first)
        let further = subjects.flatMap { subject in
            [
                TextPromptEngine.Question(subject.timeline, excluding: subject.seen, count: Self.depth),
                TextPromptEngine.Question(subject.timeline, .favouriteCategory),
            ]
        }
        let others = try timed(further, engine, &result.further)
        for (index, subject) in subjects.enumerated() {
            let (titles, category) = (others[2 * index], others[2 * index + 1])
            result.titlesUnfiltered.add(rank: rank(unfiltered[index].ranking, of: subject.target))
            result.titles.add(rank: rank(titles.ranking, of: subject.target))
            if shownUsers.contains(subject.user) { shown[subject.user] = titles.ranking }
            // Of the events that were asked about, whether or not all of them fit.
            let asked = subject.timeline.suffix(events ?? category.eventCount)
            let right = UserTask.favouriteCategories(of: features.indexed(asked))
            guard !right.isEmpty else { continue }
            result.categoryCount += 1
            if category.ranking.first.map({ right.contains(Int32($0)) }) ?? false { result.rightCategories += 1 }
            for category in right { favourites[category, default: 0] += 1 }
        }
    }

    private func timed(
        _ questions: [TextPromptEngine.Question],
        _ engine: TextPromptEngine,
        _ cost: inout Cost
    ) throws -> [TextPromptEngine.Answer] {
        let start = ContinuousClock.now
        let answers = try engine.answers(to: questions)
        cost.seconds += (ContinuousClock.now - start).inSeconds
        cost.questions += answers.count
        for answer in answers {
            cost.promptTokens += answer.promptTokens
            cost.cachedTokens += answer.cachedTokens
            cost.events += answer.eventCount
        }
        return answers
    }

    private func rank(_ ranking: [Int], of target: Int) -> Int? { ranking.firstIndex(of: target).map { $0 + 1 } }

    /// The best titles without a user, enough that ten unseen ones are left for every user.
    private func rankingWithoutUser(_ engine: TextPromptEngine) throws -> [Int] {
        let most = dataset.users.indices.map { dataset.eventCount(ofUser: $0) }.max() ?? 0
        let count = min(most + Self.depth, dataset.catalogue.count, 1_000)
        return try engine.answers(to: [TextPromptEngine.Question([], count: count)])[0].ranking
    }
}
