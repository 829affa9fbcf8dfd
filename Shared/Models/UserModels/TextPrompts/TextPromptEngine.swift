public import LanguageEngine
public import Messages
import ModelFiles
import NeuralNetwork
import Tensors

/// Answers questions about users from their timelines as text, with the engine that serves.
///
/// Answers are held to the catalogue by the prefix trees and found by beam search, as `AnsweringEngine` does with a user's
/// context. Not `Sendable`: one thread at a time.
public final class TextPromptEngine {
    /// A question about one user.
    public struct Question: Sendable {
        /// The timeline, oldest first; as many of the latest events as fit are read.
        public var events: [TimelineEvent]
        /// What is asked for.
        public var aspect: TimelineText.Question
        /// The catalogue's numbers of items that may not be the answer.
        public var excluded: Set<Int>
        /// How many items are ranked.
        public var count: Int

        /// Makes a question.
        public init(
            _ events: [TimelineEvent],
            _ aspect: TimelineText.Question = .nextTitle,
            excluding excluded: Set<Int> = [],
            count: Int = 10
        ) {
            (self.events, self.aspect, self.excluded, self.count) = (events, aspect, excluded, count)
        }
    }

    /// The answer to a question.
    public struct Answer: Sendable, Equatable {
        /// Items, or categories, by their numbers; best first.
        public var ranking: [Int]
        /// Tokens of the prompt.
        public var promptTokens: Int
        /// Events in the prompt.
        public var eventCount: Int
        /// Tokens of the prompt that were found in the cache of a former question.
        public var cachedTokens: Int
    }

    let engine: Engine
    let text: TimelineText
    private let answers: KnownAnswers
    let context: Int
    /// The leaf of each item's title, if it is not empty.
    private let leafOfTitle: [Int: Int]

    /// Makes an engine.
    ///
    /// - Parameters:
    ///   - weights: the language model.
    ///   - text: the texts of the catalogue's items.
    ///   - answers: titles and categories of the same catalogue.
    ///   - context: the most tokens of a prompt and its answer.
    ///   - configuration: bounds and settings of the engine.
    /// - Throws: `ModelConfigurationError` naming `context` when the model reads fewer tokens; `EngineError` naming a setting
    ///   that is out of range.
    public init(
        weights: LanguageModelWeights,
        text: TimelineText,
        answers: KnownAnswers,
        context: Int,
        configuration: EngineConfiguration = EngineConfiguration()
    ) throws {
        engine = try Engine(weights: weights, configuration: configuration)
        let longest = engine.maximumLength
        try require("context", context, context <= longest, "at most the language model's \(longest) tokens")
        (self.text, self.answers, self.context) = (text, answers, context)
        var leaves: [Int: Int] = [:]
        for leaf in 0..<answers.titles.leafCount {
            for item in answers.titles.values(ofLeaf: leaf) { leaves[item] = leaf }
        }
        leafOfTitle = leaves
    }

    /// Makes an engine of a model in memory, such as one that was trained; its weights are copied, and low-rank updates
    /// merged into them.
    ///
    /// - Parameters:
    ///   - model: the language model.
    ///   - format: how weights are kept.
    ///   - text: the texts of the catalogue's items.
    ///   - answers: titles and categories of the same catalogue.
    ///   - context: the most tokens of a prompt and its answer.
    ///   - configuration: bounds and settings of the engine.
    /// - Throws: as the other initializer.
    public convenience init(
        model: LanguageModel,
        format: WeightFormat = .float32,
        text: TimelineText,
        answers: KnownAnswers,
        context: Int,
        configuration: EngineConfiguration = EngineConfiguration()
    ) throws {
        let merged = model.merged()
        let tensors = Dictionary(uniqueKeysWithValues: merged.parameters.map { ($0.name, $0.value) })
        let weights = try LanguageModelWeights(
            configuration: model.configuration,
            format: format,
            threads: configuration.threads
        ) { tensors[$0]?.values }
        try self.init(weights: weights, text: text, answers: answers, context: context, configuration: configuration)
    }

    /// Answers questions, all of them at once as far as the engine has room.
    ///
    /// - Returns: the answers, in the order of the questions.
    /// - Throws: `ModelConfigurationError` naming `context` when not even a user's latest event fits; `AnswerError` when
    ///   nothing is left to answer with, or the engine cannot compute an answer; `EngineError` when it refuses one.
    public func answers(to questions: [Question]) throws -> [Answer] {
        var asked: [SequenceID: (question: Int, events: Int)] = [:]
        for (index, question) in questions.enumerated() {
            let prompt = try prompt(question)
            asked[try engine.submit(request(question, prompt.tokens))] = (index, prompt.eventCount)
        }
        var found = [Answer?](repeating: nil, count: questions.count)
        while !asked.isEmpty {
            for case .finished(let id, let end) in try engine.step() {
                guard let (index, events) = asked.removeValue(forKey: id) else { continue }
                try requireEnd(end.reason)
                found[index] = Answer(
                    ranking: ranking(questions[index], end.ranking),
                    promptTokens: end.promptTokens,
                    eventCount: events,
                    cachedTokens: end.cachedTokens
                )
            }
        }
        return found.compactMap { $0 }
    }

    private func prompt(_ question: Question) throws(ModelConfigurationError) -> TimelineText.Prompt {
        try text.prompt(question.events, question: question.aspect, tokens: context - tree(question).depth)
    }

    private func tree(_ question: Question) -> PrefixTree {
        question.aspect == .nextTitle ? answers.titles : answers.categories
    }

    private func request(_ question: Question, _ tokens: [Int32]) throws(AnswerError) -> SequenceRequest {
        let tree = tree(question)
        let restricted = RestrictedTree(tree, without: question.aspect == .nextTitle ? gone(question) : [])
        let count = restricted.leafCount(below: PrefixTree.root)
        guard count > 0 else { throw .nothingLeft }
        var request = SequenceRequest(tokens: tokens)
        request.tree = restricted
        // Fewer beams would make an answer depend on a greedy first token.
        let wanted = question.aspect == .nextTitle ? max(question.count, 10) : count
        let widest = engine.widestSearch(promptLength: tokens.count, depth: tree.depth)
        request.search = .beams(width: min(wanted, widest))
        request.stopTokens = text.format.endTokens
        return request
    }

    /// The leaves of which no item is allowed.
    private func gone(_ question: Question) -> Set<Int> {
        let leaves = Set(question.excluded.compactMap { leafOfTitle[$0] })
        return leaves.filter { answers.titles.values(ofLeaf: $0).allSatisfy(question.excluded.contains) }
    }

    private func ranking(_ question: Question, _ ranked: [RankedLeaf]) -> [Int] {
        let tree = tree(question)
        let values = ranked.flatMap { tree.values(ofLeaf: $0.leaf) }
        guard question.aspect == .nextTitle else { return values }
        return Array(values.filter { !question.excluded.contains($0) }.prefix(question.count))
    }
}
