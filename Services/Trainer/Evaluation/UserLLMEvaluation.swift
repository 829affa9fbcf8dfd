import Catalogues
import Datasets
import Bytes
import LanguageEngine
import Messages
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
    }

    /// How many titles are ranked; a title further down counts as not found.
    private static let depth = 10
    /// Users who are asked about at the same time.
    private static let batchCount = 16

    /// What is known of a user.
    private struct Subject {
        let target: Int
        let seen: Set<Int>
        let favourites: Set<TextKey>
        let context: [Float]
    }

    /// What an answer says about its user.
    private enum Aspect {
        case unfilteredTitles, titles, category
    }

    /// Evaluates some users.
    func evaluate(users: [Int]) throws -> Result {
        let encoder = try bundle.makeEncodingEngine(threads: threads)
        let answerer = try bundle.makeAnsweringEngine(configuration: .evaluation(threads: threads))
        let withoutUser = try rankingWithoutUser(answerer)
        var result = Result()
        for start in stride(from: 0, to: users.count, by: Self.batchCount) {
            let batch = Array(users[start..<min(start + Self.batchCount, users.count)])
            try ask(subjects(batch, encoder), answerer, withoutUser, &result)
        }
        result.rightMostFrequent = rightMostFrequent(users)
        return result
    }

    private func subjects(_ users: [Int], _ encoder: EncodingEngine) -> [Subject] {
        let timelines = users.map { user in
            let last = dataset.eventCount(ofUser: user) - 1
            return dataset.timeline(user: user, max(last - bundle.timelineLength, 0)..<last)
        }
        return zip(users, encoder.encode(timelines)).map { user, encoded in
            let last = dataset.eventCount(ofUser: user) - 1
            return Subject(
                target: dataset.item(user: user, last),
                seen: Set((0..<last).map { dataset.item(user: user, $0) }),
                favourites: favouriteCategories(user),
                context: encoded.context
            )
        }
    }

    /// Asks all questions about some users at once.
    private func ask(
        _ subjects: [Subject],
        _ answerer: AnsweringEngine,
        _ withoutUser: [Int],
        _ result: inout Result
    ) throws {
        var asked: [AnswerID: (subject: Int, aspect: Aspect)] = [:]
        for (index, subject) in subjects.enumerated() {
            func submit(_ request: AnswerRequest, _ aspect: Aspect) throws {
                asked[try answerer.submit(request, context: subject.context)] = (index, aspect)
            }
            var request = AnswerRequest(
                text: UserTask.nextTitle.trainingPhrasings[0],
                form: .title,
                itemCount: Self.depth
            )
            try submit(request, .unfilteredTitles)
            request.excludedItems = Set(subject.seen.map { dataset.catalogue.items[$0].id })
            try submit(request, .titles)
            let unseen = Array(withoutUser.lazy.filter { !subject.seen.contains($0) }.prefix(Self.depth))
            result.titlesWithoutUser.add(rank: unseen.firstIndex(of: subject.target).map { $0 + 1 })
            guard !subject.favourites.isEmpty else { continue }
            let question = UserTask.favouriteCategory.trainingPhrasings[0]
            try submit(AnswerRequest(text: question, form: .category), .category)
        }
        while !asked.isEmpty {
            for case .finished(let id, let end) in try answerer.step() {
                guard let (index, aspect) = asked.removeValue(forKey: id) else { continue }
                let (answer, subject) = (try end.get(), subjects[index])
                switch aspect {
                case .unfilteredTitles: result.titlesUnfiltered.add(rank: rank(answer, of: subject.target))
                case .titles: result.titles.add(rank: rank(answer, of: subject.target))
                case .category:
                    result.categoryCount += 1
                    if subject.favourites.contains(TextKey(answer.text)) { result.rightCategories += 1 }
                }
            }
        }
    }

    private func rank(_ answer: GeneratedAnswer, of target: Int) -> Int? {
        let id = dataset.catalogue.items[target].id
        return answer.items.firstIndex { $0.id == id }.map { $0 + 1 }
    }

    /// The best titles without a user, enough that ten unseen ones are left for every user.
    private func rankingWithoutUser(_ answerer: AnsweringEngine) throws -> [Int] {
        let most = dataset.users.indices.map { dataset.eventCount(ofUser: $0) }.max() ?? 0
        let request = AnswerRequest(
            text: UserTask.nextTitle.trainingPhrasings[0],
            form: .title,
            itemCount: min(most + Self.depth, dataset.catalogue.count, 1_000)
        )
        let answer = try answerer.answer(request, context: nil)
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

extension EngineConfiguration {
    /// For evaluations: keys and values are not rounded, and there is room for a wide search.
    static func evaluation(threads: Int) -> EngineConfiguration {
        var configuration = EngineConfiguration()
        configuration.threads = threads
        configuration.cacheFormat = .float32
        (configuration.pagePositions, configuration.pageCount) = (16, 4_096)
        return configuration
    }
}
