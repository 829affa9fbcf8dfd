import Catalogues
import Datasets
import NeuralNetwork
import ServiceRuntime
import UserModels

/// The reviews of a data set as questions and answers.
///
/// The protocol is leave-one-out, as for titles: the review of a user's last event tests, that of the one before validates,
/// and a question about an event may depend on the events before it alone.
struct Reviews: Sendable {
    let dataset: PreparedDataset
    let format: PromptFormat
    /// The most tokens of a review.
    let tokens: Int
    /// Users whose review validates, spread over all that have one.
    let validatedUsers: [Int]

    /// Reading a review takes as long as many titles, so fewer of them validate.
    private static let mostValidated = 64

    /// Finds the reviews that train and validate.
    ///
    /// - Parameters:
    ///   - histories: the data set and its split.
    ///   - format: the language model's.
    ///   - tokens: the most tokens of a review.
    /// - Throws: `ProcessFailure` when there is none to train or to validate with, or a question about some item cannot be
    ///   asked.
    init(_ histories: Histories, format: PromptFormat, tokens: Int) throws {
        (dataset, self.format, self.tokens) = (histories.dataset, format, tokens)
        let dataset = histories.dataset
        let users = histories.evaluatedUsers.filter {
            dataset.review(user: $0, histories.target(.validation, user: $0)) != nil
        }
        let count = min(users.count, Self.mostValidated)
        validatedUsers = (0..<count).map { users[$0 * users.count / count] }
        let trains = histories.trainingCounts.enumerated().contains { user, count in
            (1..<max(count, 1)).contains { dataset.review(user: user, $0) != nil }
        }
        guard trains, !users.isEmpty else {
            throw ProcessFailure(
                "the task review needs reviews of events after a user's first: \(trains ? "some" : "none") of the events that "
                    + "train have one, and \(users.count) of those that validate; leave the task out",
                exitCode: .badInput
            )
        }
    }

    /// The most tokens of a question in the longest of the phrasings.
    ///
    /// - Throws: `ProcessFailure` naming an item whose title makes a question that the model's chat template does not take.
    func longestPrompt() throws -> Int {
        let phrasings = ReviewQuestion.trainingPhrasings + ReviewQuestion.heldOutPhrasings
        let longest = phrasings.max { $0.utf8.count < $1.utf8.count } ?? ""
        return try dataset.catalogue.items.map { item in
            do {
                return try format.checkedPrompt(ReviewQuestion.text(longest, title: item.title, rating: nil)).count
            } catch {
                throw ProcessFailure("item \(item.id) cannot be asked about: \(error)", exitCode: .badInput)
            }
        }.max() ?? 0
    }

    /// A question about one event of a user, counted from 0.
    func question(_ phrasing: String, user: Int, _ index: Int) -> String {
        let entry = dataset.entry(user: user, index)
        let title = dataset.catalogue.items[Int(entry.item)].title
        return ReviewQuestion.text(phrasing, title: title, rating: entry.rating)
    }

    /// What is learnt of a review; nil where the event has none.
    func target(user: Int, _ index: Int) -> [Int32]? {
        dataset.review(user: user, index).map { format.target($0, tokens: tokens) }
    }

    /// One of a window's events that have a review and an event before them in the window; nil where there is none.
    func draw(_ window: WindowSchedule.Window, using random: inout SeededRandom) -> Int? {
        let candidates = window.range.dropFirst().filter { dataset.review(user: window.user, $0) != nil }
        return candidates.isEmpty ? nil : candidates[random.below(candidates.count)]
    }

    /// A phrasing to train with.
    func drawPhrasing(using random: inout SeededRandom) -> String {
        ReviewQuestion.trainingPhrasings[random.below(ReviewQuestion.trainingPhrasings.count)]
    }
}
