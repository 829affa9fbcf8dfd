import Catalogues
import Datasets
import LanguageEngine
import Messages
import ServiceRuntime
import UserModels

/// Asks a language model about every user's held-out event, from the timeline as text, with the engine that serves.
struct TextPromptEvaluation: Sendable {
    let text: TimelineText
    let answers: KnownAnswers
    let test: TestQuestions
    /// The most events of a text; nil for as many as fit.
    let events: Int?

    private var dataset: PreparedDataset { test.dataset }

    /// The results.
    struct Result: Sendable {
        var known = KnownAnswerMetrics()
        /// Of questions whose prompt nothing is known of: how many, what they took, and what they read.
        var first = Cost()
        /// Of further questions about the same users, whose prompts are mostly in the cache.
        var further = Cost()
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

    /// Users who are asked about at the same time.
    private static let batchCount = 8

    /// What is known of a user.
    private struct Subject {
        let user: Int
        let target: Int
        let seen: Set<Int>
        let timeline: [TimelineEvent]
    }

    /// Asks about all users.
    func evaluate(with engine: TextPromptEngine) throws -> Result {
        let withoutUser = test.tasks.contains(.nextTitle) ? try rankingWithoutUser(engine) : []
        var shown: [Int: [Int]] = [:]
        func asked(_ users: [Int]) throws -> Result {
            var result = Result()
            var favourites: [Int32: Int] = [:]
            let bar = ProgressBar("asking", total: users.count, unit: "users")
            defer { bar.finish() }
            for start in stride(from: 0, to: users.count, by: Self.batchCount) {
                let subjects = users[start..<min(start + Self.batchCount, users.count)].map(subject)
                try ask(subjects, engine, &result, &favourites, &shown)
                for subject in subjects where test.tasks.contains(.nextTitle) {
                    result.known.addWithoutUser(withoutUser, seen: subject.seen, target: subject.target)
                }
                bar.update(start + subjects.count)
            }
            result.known.rightMostFrequent = favourites.values.max() ?? 0
            return result
        }
        var result = try asked(test.users)
        guard test.tasks.contains(.nextTitle) else { return result }
        // Who is shown without being counted is asked as well; these ranks and costs are nobody's.
        let others = test.shownUsers.filter { shown[$0] == nil }
        if !others.isEmpty { _ = try asked(others) }
        result.known.examples = test.shownUsers.map { user in
            let titles = (shown[user] ?? []).map { AnswerExample.Title(dataset.catalogue.items[$0]) }
            return AnswerExample(dataset, user: user, answers: [.textPrompt: titles])
        }
        return result
    }

    private func subject(_ user: Int) -> Subject {
        let last = test.heldOutEvent(of: user)
        return Subject(
            user: user,
            target: test.target(of: user),
            seen: test.seen(by: user),
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
        if test.tasks.contains(.nextTitle) { try askTitles(subjects, engine, &result, &shown) }
        if test.tasks.contains(.favouriteCategory) { try askCategories(subjects, engine, &result, &favourites) }
    }

    private func askTitles(
        _ subjects: [Subject],
        _ engine: TextPromptEngine,
        _ result: inout Result,
        _ shown: inout [Int: [Int]]
    ) throws {
        func questions(_ excluded: (Subject) -> Set<Int>) -> [TextPromptEngine.Question] {
            subjects.map {
                TextPromptEngine.Question($0.timeline, excluding: excluded($0), count: KnownAnswerMetrics.depth)
            }
        }
        let unfiltered = try timed(questions { _ in [] }, engine, &result.first)
        let filtered = try timed(questions(\.seen), engine, &result.further)
        for (index, subject) in subjects.enumerated() {
            let ranking = filtered[index].ranking
            let rank = KnownAnswerMetrics.rank
            result.known.titlesUnfiltered.add(rank: rank(unfiltered[index].ranking, subject.target))
            result.known.titles.add(rank: rank(ranking, subject.target))
            if test.shownUsers.contains(subject.user) { shown[subject.user] = ranking }
        }
    }

    private func askCategories(
        _ subjects: [Subject],
        _ engine: TextPromptEngine,
        _ result: inout Result,
        _ favourites: inout [Int32: Int]
    ) throws {
        let questions = subjects.map { TextPromptEngine.Question($0.timeline, .favouriteCategory) }
        // Where titles were asked for, most of these prompts is in the cache by now.
        let answers =
            if test.tasks.contains(.nextTitle) {
                try timed(questions, engine, &result.further)
            } else {
                try timed(questions, engine, &result.first)
            }
        for (subject, answer) in zip(subjects, answers) {
            // Of the events that were asked about, whether or not all of them fit.
            let asked = subject.timeline.suffix(events ?? answer.eventCount)
            let right = UserTask.favouriteCategories(of: test.histories.features.indexed(asked))
            guard !right.isEmpty else { continue }
            result.known.categoryCount += 1
            if answer.ranking.first.map({ right.contains(Int32($0)) }) ?? false { result.known.rightCategories += 1 }
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

    /// The best titles without a user, enough that ten unseen ones are left for every user.
    private func rankingWithoutUser(_ engine: TextPromptEngine) throws -> [Int] {
        let count = KnownAnswerMetrics.countWithoutUser(dataset)
        return try engine.answers(to: [TextPromptEngine.Question([], count: count)])[0].ranking
    }
}
