import Catalogues
import Datasets
import Messages
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tokenization
import UserModels

/// What of the language model a text prompt's training changes.
enum TextPromptStrategy: String, Codable, CaseIterable, Sendable, ConfigurationValue {
    /// Low-rank updates; its own weights are frozen.
    case lora
    /// Every weight.
    case full
}

/// What a text prompt's training was made with, as saved in its checkpoints.
struct TextPromptConfiguration: Codable, Sendable {
    var languageModel: LanguageModelConfiguration
    var strategy: TextPromptStrategy
    /// The size of the updates; nil for `full`.
    var lowRank: LowRankAdapter.Configuration?
    /// The most tokens of a text.
    var context: Int
    /// The most events of a text; nil for as many as fit.
    var events: Int?
    /// The published language model that the training began with; nil for one of our own.
    var published: PublishedModel?

    /// Whether the language model's weights are those of the published files, so that a checkpoint does without them.
    var leavesPublishedWeights: Bool { published != nil && strategy == .lora }

    /// What a checkpoint holds of a model.
    func saved(_ model: LanguageModel) -> [Parameter] {
        (leavesPublishedWeights ? [] : model.parameters) + (model.lowRank?.parameters ?? [])
    }
}

/// A language model that knows users by their timelines as text.
struct TextPromptModel {
    /// The language model, with its low-rank updates if it has any.
    let model: LanguageModel
    let text: TimelineText
    let answers: KnownAnswers
    /// The most tokens of a text.
    let context: Int
    /// The most events of a text; nil for as many as fit.
    let events: Int?

    /// Joins a language model and a data set.
    ///
    /// - Throws: `ProcessFailure` when the model reads fewer tokens than `context`, or an event of the catalogue does not fit
    ///   into it.
    init(
        model: LanguageModel,
        format: PromptFormat,
        dataset: PreparedDataset,
        context: Int,
        events: Int?
    ) throws {
        let longest = model.configuration.maximumLength
        guard context <= longest else {
            throw ProcessFailure(
                "--context is \(context), expected at most the language model's \(longest) tokens",
                exitCode: .badInput
            )
        }
        self.model = model
        (self.context, self.events) = (context, events)
        text = TimelineText(format: format, catalogue: dataset.catalogue)
        answers = KnownAnswers(
            catalogue: dataset.catalogue,
            categoryNames: dataset.catalogue.categories,
            format: format
        )
        try requireRoom(dataset)
    }

    /// Tokens that are left for events.
    private var room: Int { text.room(in: context, answers: answers) }

    /// How many of a data set's events fit into a text, on average; at least 2.
    func fittingCount(_ dataset: PreparedDataset) -> Int {
        let step = max(dataset.eventCount / 10_000, 1)
        var (count, tokens) = (0, 0)
        for user in dataset.users.indices {
            // Evenly spread over users and over each one's events.
            for index in stride(from: user % step, to: dataset.eventCount(ofUser: user), by: step) {
                count += 1
                tokens += dataset.timeline(user: user, index..<index + 1).reduce(0) { $0 + text.tokenCount(of: $1) }
            }
        }
        return count == 0 ? 2 : max(2, room * count / max(tokens, 1))
    }

    /// The event whose line is the longest.
    private func longestEvent(_ dataset: PreparedDataset) -> (tokens: Int, title: String) {
        var longest = (tokens: 0, title: "")
        for item in dataset.catalogue.items {
            let tokens = text.tokenCount(of: .init(item: item.id, rating: Self.longestRating, time: 0))
            if tokens > longest.tokens { longest = (tokens, item.title) }
        }
        return longest
    }

    /// Refuses a context into which some question about a review does not fit, with one event, before anything is computed.
    func requireRoom(reviewTokens: Int, _ dataset: PreparedDataset) throws {
        let phrasings = ReviewQuestion.trainingPhrasings + ReviewQuestion.heldOutPhrasings
        let phrasing = phrasings.max { $0.utf8.count < $1.utf8.count } ?? ""
        let question =
            dataset.catalogue.items.map {
                text.line(of: ReviewQuestion.text(phrasing, title: $0.title, rating: Self.longestRating)).count
            }.max() ?? 0
        let (task, event) = (text.overhead(of: .nextTitle), longestEvent(dataset).tokens)
        let needed = task + event + question + reviewTokens
        guard needed > context else { return }
        throw ProcessFailure(
            "--context is \(context), expected at least \(needed): the task takes \(task) tokens, an event up to \(event), "
                + "a question about a review up to \(question) and the review \(reviewTokens) (--review-tokens)",
            exitCode: .badInput
        )
    }

    /// Refuses a context into which some event does not fit, before anything is computed.
    private func requireRoom(_ dataset: PreparedDataset) throws {
        let longest = longestEvent(dataset)
        guard longest.tokens <= room else {
            throw ProcessFailure(
                "--context is \(context), expected at least \(context - room + longest.tokens): question and answer take "
                    + "\(context - room) tokens, and the event \"\(longest.title.prefix(60))\" \(longest.tokens)",
                exitCode: .badInput
            )
        }
    }

    /// No rating is a longer text.
    private static let longestRating = -Float.leastNormalMagnitude
}

extension RunFolder {
    /// The language model of a text prompt's training.
    ///
    /// - Throws: if the folder does not hold one, or has other data, or its published language model has changed.
    static func textPrompt(
        _ folder: String,
        dataset: PreparedDataset
    ) throws -> (model: TextPromptModel, configuration: TextPromptConfiguration) {
        let checkpoint = try best(of: folder, kind: "text-prompt", dataset)
        let configuration = try checkpoint.configuration(as: TextPromptConfiguration.self)
        let source = try configuration.published?.open()
        let format: PromptFormat
        if let published = configuration.published, let source {
            format = try published.text(of: source).1
        } else {
            format = try PromptFormat(tokenizer: Tokenizer(contentsOf: folder + "/tokenizer.json"))
        }
        let model = try naming(checkpoint) {
            // What is drawn here is replaced by the checkpoint's values.
            var random = SeededRandom(seed: 0)
            var model: LanguageModel
            if configuration.leavesPublishedWeights, let source {
                model = try LanguageModel(source)
            } else {
                model = try LanguageModel(configuration: configuration.languageModel, using: &random)
            }
            if let lowRank = configuration.lowRank {
                model = try model.adding(
                    LowRankAdapter(configuration: lowRank, base: model.configuration, using: &random)
                )
            }
            try checkpoint.load(into: configuration.saved(model))
            return model
        }
        let joined = try TextPromptModel(
            model: model,
            format: format,
            dataset: dataset,
            context: configuration.context,
            events: configuration.events
        )
        return (joined, configuration)
    }
}
