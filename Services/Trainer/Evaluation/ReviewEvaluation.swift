import Catalogues
import Datasets
import Messages
import ServiceRuntime
import UserModels

/// Asks for the reviews of users' last events, and compares what is written with what the users wrote.
///
/// Both are cut to the same number of tokens. A model writes the likeliest token each time.
struct ReviewEvaluation: Sendable {
    let dataset: PreparedDataset
    let format: PromptFormat
    /// The most tokens of a text.
    let tokens: Int

    /// A question to a model.
    struct Question: Sendable {
        let user: Int
        let text: String
        /// Whether the model is given the events before the user's last one.
        let knowsUser: Bool
    }

    /// The results.
    struct Result: Sendable {
        /// What the model writes.
        var written = RougeMetrics()
        /// The same when asked in words that were not trained.
        var heldOut = RougeMetrics()
        /// The same model asked without the user.
        var withoutUser = RougeMetrics()
        /// The user's latest review before, copied; who has none has written nothing.
        var previous = RougeMetrics()
    }

    /// Users who are asked about at the same time.
    private static let batchCount = 16

    /// Evaluates those of some users who wrote about their last event.
    ///
    /// - Parameters:
    ///   - users: the users.
    ///   - write: answers questions, each with at most `tokens` tokens.
    /// - Returns: the scores.
    /// - Throws: `ProcessFailure` when nobody wrote, and what `write` throws.
    func evaluate(users: [Int], _ write: ([Question]) throws -> [String]) throws -> Result {
        let reviewers = users.filter { dataset.review(user: $0, last($0)) != nil }
        guard !reviewers.isEmpty else {
            throw ProcessFailure(
                "none of the \(users.count) users that are asked about wrote a review of the last event: ask about more "
                    + "--users, or leave the task review out",
                exitCode: .badInput
            )
        }
        let (asked, heldOut) = (ReviewQuestion.trainingPhrasings[0], ReviewQuestion.heldOutPhrasings[0])
        var result = Result()
        let bar = ProgressBar("writing reviews", total: reviewers.count, unit: "users")
        defer { bar.finish() }
        for start in stride(from: 0, to: reviewers.count, by: Self.batchCount) {
            let batch = reviewers[start..<min(start + Self.batchCount, reviewers.count)]
            let texts = try write(
                batch.flatMap { user in
                    [
                        question(asked, user, knowsUser: true), question(heldOut, user, knowsUser: true),
                        question(asked, user, knowsUser: false),
                    ]
                }
            )
            for (index, user) in batch.enumerated() {
                let reference = cut(dataset.review(user: user, last(user)) ?? "")
                result.written.add(Rouge(texts[3 * index], reference: reference))
                result.heldOut.add(Rouge(texts[3 * index + 1], reference: reference))
                result.withoutUser.add(Rouge(texts[3 * index + 2], reference: reference))
                result.previous.add(Rouge(previous(user), reference: reference))
            }
            bar.update(start + batch.count)
        }
        return result
    }

    private func last(_ user: Int) -> Int { dataset.eventCount(ofUser: user) - 1 }

    private func question(_ phrasing: String, _ user: Int, knowsUser: Bool) -> Question {
        let entry = dataset.entry(user: user, last(user))
        let title = dataset.catalogue.items[Int(entry.item)].title
        let text = ReviewQuestion.text(phrasing, title: title, rating: entry.rating)
        return Question(user: user, text: text, knowsUser: knowsUser)
    }

    private func previous(_ user: Int) -> String {
        let latest = (0..<last(user)).reversed().lazy.compactMap { dataset.review(user: user, $0) }.first
        return latest.map(cut) ?? ""
    }

    private func cut(_ text: String) -> String { format.text(format.answer(text).prefix(tokens)) }
}

extension ReviewEvaluation {
    /// Answers a bundle's questions from its users' rows.
    static func answers(
        to questions: [Question],
        _ bundle: ModelBundle,
        _ dataset: PreparedDataset,
        tokens: Int,
        _ encoder: EncodingEngine,
        _ answerer: AnsweringEngine
    ) throws -> [String] {
        let timelines = questions.map { question in
            let last = dataset.eventCount(ofUser: question.user) - 1
            return dataset.timeline(user: question.user, max(last - bundle.timelineLength, 0)..<last)
        }
        let rows = encoder.encode(timelines)
        var asked: [AnswerID: Int] = [:]
        for (index, question) in questions.enumerated() {
            let request = AnswerRequest(text: question.text, form: .text, maximumTokens: tokens)
            let context = question.knowsUser ? UserContext(rows: rows[index].context, pooled: []) : nil
            asked[try answerer.submit(request, context: context)] = index
        }
        var texts = [String](repeating: "", count: questions.count)
        while !asked.isEmpty {
            for case .finished(let id, let end) in try answerer.step() {
                guard let index = asked.removeValue(forKey: id) else { continue }
                texts[index] = try end.get().text
            }
        }
        return texts
    }

    /// Answers questions from users' timelines as text, of at most so many events.
    static func answers(
        to questions: [Question],
        _ engine: TextPromptEngine,
        _ dataset: PreparedDataset,
        tokens: Int,
        events: Int?
    ) throws -> [String] {
        let asked = questions.map { question in
            let last = question.knowsUser ? dataset.eventCount(ofUser: question.user) - 1 : 0
            let first = events.map { max(last - $0, 0) } ?? 0
            return TextPromptEngine.TextQuestion(
                dataset.timeline(user: question.user, first..<last),
                asking: question.text
            )
        }
        return try engine.texts(to: asked, maximumTokens: tokens)
    }
}

extension Report {
    /// Adds the scores of reviews, and how much of each was compared.
    mutating func add(_ result: ReviewEvaluation.Result, tokens: Int) {
        add("review_users", result.written.count)
        add("review_tokens", tokens)
        add(result.written, "")
        add(result.heldOut, "_held_out_phrasing")
        add(result.withoutUser, "_without_user")
        add(result.previous, "_previous_review")
    }
}
