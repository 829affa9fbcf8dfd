import Catalogues
import Datasets
import Bytes
import LanguageEngine
import Messages
import ServiceRuntime
import UserModels

/// Asks a finished bundle about every user's held-out event, with the engines used for serving.
struct UserLLMEvaluation: Sendable {
    let bundle: ModelBundle
    let test: TestQuestions
    let threads: Int

    private var dataset: PreparedDataset { test.dataset }

    /// The results.
    struct Result: Sendable {
        /// What the language model alone answered.
        var known = KnownAnswerMetrics()
        /// Ranks of the next title by language model and encoder together; nobody is asked when the bundle does not say how.
        var titlesFused = RankingMetrics()
        /// The same where their scores of whole titles are added; nobody is asked when the bundle does not say how.
        var titlesLate = RankingMetrics()
    }

    /// Users who are asked about at the same time.
    private static let batchCount = 16

    /// What is known of a user.
    private struct Subject {
        let user: Int
        let target: Int
        let seen: Set<Int>
        let favourites: Set<TextKey>
        let encoded: EncodedUser
    }

    /// What an answer says about its user.
    private enum Aspect {
        case unfilteredTitles, titles, fusedTitles, lateTitles, category

        /// The ranking that is kept of a shown user.
        var ranking: AnswerRanking? {
            switch self {
            case .titles: .userLLM
            case .fusedTitles: .fused
            case .unfilteredTitles, .lateTitles, .category: nil
            }
        }
    }

    /// Asks about all users.
    func evaluate() throws -> Result {
        let encoder = try bundle.makeEncodingEngine(threads: threads)
        let answerer = try bundle.makeAnsweringEngine(configuration: .evaluation(threads: threads))
        let withoutUser = test.tasks.contains(.nextTitle) ? try rankingWithoutUser(answerer) : []
        let scorer = ItemScorer(bundle.encoder)
        var shown: [Int: [AnswerRanking: [AnswerExample.Title]]] = [:]
        func asked(_ users: [Int]) throws -> Result {
            var result = Result()
            let bar = ProgressBar("asking", total: users.count, unit: "users")
            defer { bar.finish() }
            for start in stride(from: 0, to: users.count, by: Self.batchCount) {
                let batch = Array(users[start..<min(start + Self.batchCount, users.count)])
                try ask(subjects(batch, encoder), answerer, scorer, withoutUser, &result, &shown)
                bar.update(start + batch.count)
            }
            return result
        }
        var result = try asked(test.users)
        result.known.rightMostFrequent = rightMostFrequent()
        // Who is shown without being counted is asked as well; these ranks are nobody's.
        let others = test.shownUsers.filter { shown[$0] == nil }
        if !others.isEmpty { _ = try asked(others) }
        result.known.examples = test.shownUsers.map { AnswerExample(dataset, user: $0, answers: shown[$0] ?? [:]) }
        return result
    }

    private func subjects(_ users: [Int], _ encoder: EncodingEngine) -> [Subject] {
        let timelines = users.map { user in
            let last = test.heldOutEvent(of: user)
            return dataset.timeline(user: user, max(last - bundle.timelineLength, 0)..<last)
        }
        return zip(users, encoder.encode(timelines)).map { user, encoded in
            Subject(
                user: user,
                target: test.target(of: user),
                seen: test.seen(by: user),
                favourites: favouriteCategories(user),
                encoded: encoded
            )
        }
    }

    /// Asks all questions about some users at once.
    private func ask(
        _ subjects: [Subject],
        _ answerer: AnsweringEngine,
        _ scorer: ItemScorer,
        _ withoutUser: [Int],
        _ result: inout Result,
        _ shown: inout [Int: [AnswerRanking: [AnswerExample.Title]]]
    ) throws {
        var asked: [AnswerID: (subject: Int, aspect: Aspect)] = [:]
        for (index, subject) in subjects.enumerated() {
            if test.shownUsers.contains(subject.user) {
                shown[subject.user] = [.encoderHead: headTitles(subject, scorer)]
            }
            func submit(_ request: AnswerRequest, _ aspect: Aspect) throws {
                // Without the pooled vector the language model answers alone.
                let pooled = aspect == .fusedTitles ? subject.encoded.pooled : []
                let context = UserContext(rows: subject.encoded.context, pooled: pooled)
                asked[try answerer.submit(request, context: context)] = (index, aspect)
            }
            if test.tasks.contains(.nextTitle) {
                var request = AnswerRequest(
                    text: UserTask.nextTitle.trainingPhrasings[0],
                    form: .title,
                    itemCount: KnownAnswerMetrics.depth
                )
                try submit(request, .unfilteredTitles)
                request.excludedItems = Set(subject.seen.map { dataset.catalogue.items[$0].id })
                try submit(request, .titles)
                if bundle.fusion != nil { try submit(request, .fusedTitles) }
                if bundle.fusion?.late != nil {
                    request.itemCount = min(FusionLearning.lateCount, dataset.catalogue.count)
                    try submit(request, .lateTitles)
                }
                result.known.addWithoutUser(withoutUser, seen: subject.seen, target: subject.target)
            }
            guard test.tasks.contains(.favouriteCategory), !subject.favourites.isEmpty else { continue }
            let question = UserTask.favouriteCategory.trainingPhrasings[0]
            try submit(AnswerRequest(text: question, form: .category), .category)
        }
        while !asked.isEmpty {
            for case .finished(let id, let end) in try answerer.step() {
                guard let (index, aspect) = asked.removeValue(forKey: id) else { continue }
                let (answer, subject) = (try end.get(), subjects[index])
                if let ranking = aspect.ranking {
                    shown[subject.user]?[ranking] = answer.items.map { AnswerExample.Title($0.id, $0.title) }
                }
                switch aspect {
                case .unfilteredTitles: result.known.titlesUnfiltered.add(rank: rank(answer, of: subject.target))
                case .titles: result.known.titles.add(rank: rank(answer, of: subject.target))
                case .fusedTitles: result.titlesFused.add(rank: rank(answer, of: subject.target))
                case .lateTitles: result.titlesLate.add(rank: lateRank(answer, subject, scorer))
                case .category:
                    result.known.categoryCount += 1
                    if subject.favourites.contains(TextKey(answer.text)) { result.known.rightCategories += 1 }
                }
            }
        }
    }

    /// The first titles by the encoder's own head.
    private func headTitles(_ subject: Subject, _ scorer: ItemScorer) -> [AnswerExample.Title] {
        let scores = scorer.scores(subject.encoded.pooled)
        return Ranking.top(AnswerExample.titleCount, scores: scores, excluding: subject.seen)
            .map { AnswerExample.Title(bundle.catalogue.items[$0]) }
    }

    private func rank(_ answer: GeneratedAnswer, of target: Int) -> Int? {
        let id = dataset.catalogue.items[target].id
        return answer.items.firstIndex { $0.id == id }.map { $0 + 1 }
    }

    /// The rank by late fusion; nil when the language model does not rank the target.
    private func lateRank(_ answer: GeneratedAnswer, _ subject: Subject, _ scorer: ItemScorer) -> Int? {
        let scores = scorer.scores(subject.encoded.pooled)
        guard let weight = bundle.fusion?.late,
            let choice = LateFusion.candidates(answer, bundle.catalogue, scores: scores, target: subject.target)
        else { return nil }
        return LateFusion.rank(choice, weight: weight)
    }

    /// The best titles without a user, enough that ten unseen ones are left for every user.
    private func rankingWithoutUser(_ answerer: AnsweringEngine) throws -> [Int] {
        let request = AnswerRequest(
            text: UserTask.nextTitle.trainingPhrasings[0],
            form: .title,
            itemCount: KnownAnswerMetrics.countWithoutUser(dataset)
        )
        let answer = try answerer.answer(request, context: nil)
        return answer.items.compactMap { dataset.catalogue.index(of: $0.id) }
    }

    private func favouriteCategories(_ user: Int) -> Set<TextKey> {
        let last = test.heldOutEvent(of: user)
        let events = dataset.timeline(user: user, max(last - bundle.timelineLength, 0)..<last)
        let favourites = UserTask.favouriteCategories(of: bundle.features.indexed(events))
        // As an answer says them, which a tokenizer's normalizer may have changed.
        return Set(favourites.map { TextKey(bundle.format.text(bundle.answers.tokens(ofCategory: Int($0)))) })
    }

    private func rightMostFrequent() -> Int {
        var counts: [TextKey: Int] = [:]
        for user in test.users {
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
