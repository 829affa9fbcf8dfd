import Catalogues
import Datasets
import Concurrency
import Bytes
import Messages
import Synchronization
import UserModels

/// Asks a finished bundle about every user's held-out event, with the engines used for serving.
struct UserLLMEvaluation: Sendable {
    let bundle: ModelBundle
    let dataset: PreparedDataset
    let threads: Int

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

        /// Share of correct favourite categories.
        var categoryAccuracy: Double { Double(rightCategories) / Double(max(categoryCount, 1)) }

        mutating func add(_ other: Result) {
            titles.add(other.titles)
            titlesUnfiltered.add(other.titlesUnfiltered)
            titlesWithoutUser.add(other.titlesWithoutUser)
            categoryCount += other.categoryCount
            rightCategories += other.rightCategories
        }
    }

    /// How many titles are ranked; a title further down counts as not found.
    private static let depth = 10

    /// Evaluates some users.
    func evaluate(users: [Int]) throws -> Result {
        let withoutUser = try rankingWithoutUser()
        let outcomes = Mutex([Swift.Result<Result, any Error>]())
        BlockingExecutor.concurrently(threads) { thread in
            let outcome = Swift.Result<Result, any Error> {
                let encoder = try bundle.makeEncodingEngine(threads: 1)
                let answerer = try bundle.makeAnsweringEngine()
                var result = Result()
                for index in stride(from: thread, to: users.count, by: threads) {
                    try ask(users[index], encoder, answerer, withoutUser, &result)
                }
                return result
            }
            outcomes.withLock { $0.append(outcome) }
        }
        var total = Result()
        for outcome in outcomes.withLock({ $0 }) { total.add(try outcome.get()) }
        total.rightMostFrequent = rightMostFrequent(users)
        return total
    }

    private func ask(
        _ user: Int,
        _ encoder: EncodingEngine,
        _ answerer: AnsweringEngine,
        _ withoutUser: [Int],
        _ result: inout Result
    ) throws {
        let last = dataset.eventCount(ofUser: user) - 1
        let target = dataset.item(user: user, last)
        let seen = Set((0..<last).map { dataset.item(user: user, $0) })
        let events = dataset.timeline(user: user, max(last - bundle.timelineLength, 0)..<last)
        let context = encoder.encode([events])[0].context
        var request = AnswerRequest(
            text: UserTask.nextTitle.trainingPhrasings[0],
            form: .title,
            itemCount: Self.depth
        )
        result.titlesUnfiltered.add(rank: rank(try answerer.answer(request, context: context), of: target))
        request.excludedItems = Set(seen.map { dataset.catalogue.items[$0].id })
        result.titles.add(rank: rank(try answerer.answer(request, context: context), of: target))
        let unseen = Array(withoutUser.lazy.filter { !seen.contains($0) }.prefix(Self.depth))
        result.titlesWithoutUser.add(rank: unseen.firstIndex(of: target).map { $0 + 1 })
        let favourites = favouriteCategories(user)
        guard !favourites.isEmpty else { return }
        let answer = try answerer.answer(
            AnswerRequest(text: UserTask.favouriteCategory.trainingPhrasings[0], form: .category),
            context: context
        )
        result.categoryCount += 1
        if favourites.contains(TextKey(answer.text)) { result.rightCategories += 1 }
    }

    private func rank(_ answer: GeneratedAnswer, of target: Int) -> Int? {
        let id = dataset.catalogue.items[target].id
        return answer.items.firstIndex { $0.id == id }.map { $0 + 1 }
    }

    /// The best titles without a user, enough that ten unseen ones are left for every user.
    private func rankingWithoutUser() throws -> [Int] {
        let most = dataset.users.indices.map { dataset.eventCount(ofUser: $0) }.max() ?? 0
        let request = AnswerRequest(
            text: UserTask.nextTitle.trainingPhrasings[0],
            form: .title,
            itemCount: min(most + Self.depth, dataset.catalogue.count, 1_000)
        )
        let answer = try bundle.makeAnsweringEngine().answer(request, context: nil)
        return answer.items.compactMap { dataset.catalogue.index(of: $0.id) }
    }

    private func favouriteCategories(_ user: Int) -> Set<TextKey> {
        let last = dataset.eventCount(ofUser: user) - 1
        let events = dataset.timeline(user: user, max(last - bundle.timelineLength, 0)..<last)
        let favourites = UserTask.favouriteCategories(of: bundle.features.indexed(events))
        return Set(favourites.map { TextKey(bundle.features.categoryNames[Int($0)]) })
    }

    private func rightMostFrequent(_ users: [Int]) -> Int {
        var counts: [TextKey: Int] = [:]
        for user in users {
            for category in favouriteCategories(user) { counts[category, default: 0] += 1 }
        }
        return counts.values.max() ?? 0
    }
}
