import Catalogues
import Datasets
import UserModels

/// How right the answers about some users were where the right ones are known: next titles and favourite categories.
///
/// Measured in the same way whatever the language model reads of its user.
struct KnownAnswerMetrics: Sendable {
    /// How many titles are ranked; a title further down counts as not found.
    static let depth = 10

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
    /// What was answered about the shown users, in their order.
    var examples: [AnswerExample] = []

    /// Share of correct favourite categories.
    var categoryAccuracy: Double { Double(rightCategories) / Double(max(categoryCount, 1)) }
    /// The same for the most frequent favourite.
    var mostFrequentAccuracy: Double { Double(rightMostFrequent) / Double(max(categoryCount, 1)) }

    /// How many titles are asked for without a user, so that `depth` unseen ones are left for every user.
    static func countWithoutUser(_ dataset: PreparedDataset) -> Int {
        let most = dataset.users.indices.map { dataset.eventCount(ofUser: $0) }.max() ?? 0
        return min(most + depth, dataset.catalogue.count, 1_000)
    }

    /// Adds the rank of a user's target among the titles ranked without the user.
    mutating func addWithoutUser(_ ranking: [Int], seen: Set<Int>, target: Int) {
        let unseen = ranking.lazy.filter { !seen.contains($0) }.prefix(Self.depth)
        titlesWithoutUser.add(rank: Self.rank(Array(unseen), of: target))
    }

    /// The rank of an item, from 1; nil when it is not in the ranking.
    static func rank(_ ranking: [Int], of target: Int) -> Int? { ranking.firstIndex(of: target).map { $0 + 1 } }
}

extension Report {
    /// Adds the accuracy of favourite categories.
    mutating func addCategories(_ metrics: KnownAnswerMetrics) {
        add("favourite_category_accuracy", metrics.categoryAccuracy)
        add("favourite_category_most_frequent", metrics.mostFrequentAccuracy)
    }

    /// Adds the recall of next titles, and that of the most popular ones for the same users.
    mutating func addTitles(_ metrics: KnownAnswerMetrics, _ test: TestQuestions) {
        let popular = EncoderEvaluation.mostPopular(test.histories, .test, users: test.users)
        addRecall(metrics.titles, "")
        addRecall(metrics.titlesUnfiltered, "_seen_unfiltered")
        addRecall(metrics.titlesWithoutUser, "_without_user")
        addRecall(popular.filtered, "_most_popular")
        add("examples", AnswerExamples(users: metrics.examples))
    }
}
