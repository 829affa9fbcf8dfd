import Catalogues
import Bytes
import Messages
import ModelFiles
import NeuralNetwork
import MessageLogs
import Tokenization
import UserModels

/// What seeds are made of: one of each record, and a model as small as it goes.
enum Examples {
    static let user = "ü1"

    static let event = Event(
        id: "e-1",
        user: "ü1",
        item: "m260",
        type: "view",
        rating: 4.5,
        categories: ["a", "b"],
        text: "t",
        time: 1_700_000_000_000
    )

    static let timeline = Timeline(
        user: "ü1",
        generation: 1,
        eventCount: 9,
        lastOffset: 44,
        events: (0..<5).map {
            TimelineEvent(item: "i", rating: Float($0), categories: ["c"], time: 1_700_000_000_000 + Int64($0) * 1_000)
        },
        earlierItems: ["h", "g"]
    )

    static let marks = ForgottenMarks(
        settled: [Timeline.Source(partition: 1, offset: 700), Timeline.Source(partition: 4, offset: 3)],
        settledUntil: 30,
        recent: [
            ForgottenMarks.Mark(partition: 1, offset: 900, deletion: 44),
            ForgottenMarks.Mark(partition: 1, offset: 950, deletion: 45),
            ForgottenMarks.Mark(partition: 2, offset: 7, deletion: 44),
        ]
    )

    static let embedding = UserEmbedding(
        user: "ü1",
        modelVersion: "v",
        generation: 0,
        eventCount: 3,
        sourcePartition: 1,
        sourceOffset: 2,
        appendedAt: 1_700_000_000_000,
        rows: 2,
        columns: 3,
        context: [0, 1, -2, 3.5, 4, 5],
        pooled: [1, 2, 3],
        seenItems: SeenItems([3, 200, 70_000])
    )

    static let question = Question(
        id: "q",
        user: "ü1",
        text: "What next?",
        includesSeen: true,
        minimumEventCount: 4,
        askedAt: 1_700_000_000_000,
        deadline: 1_700_000_060_000
    )

    static let chat = Question(
        id: "q-2",
        user: "ü1",
        text: "And now?",
        system: "Be brief.",
        turns: [.init(role: .user, text: "What next?"), .init(role: .assistant, text: "Heat")],
        form: .text,
        temperature: 0.5,
        topK: 40,
        topP: 0.9,
        minP: 0.05,
        repetitionPenalty: 1.1,
        presencePenalty: -0.5,
        frequencyPenalty: 0.25,
        stop: ["\n", "END"],
        askedAt: 1_700_000_000_000,
        deadline: 1_700_000_060_000
    )

    static let answer = Answer(
        questionID: "q",
        user: "ü1",
        status: .answered,
        text: "Heat",
        items: [Answer.Item(id: "i", title: "Heat", score: 0.5)],
        modelVersion: "v",
        eventCount: 3,
        askedAt: 1_700_000_000_000,
        answeredAt: 1_700_000_000_100,
        promptTokens: 31,
        answerTokens: 2,
        finish: .stop
    )

    static let token = AnswerToken(questionID: "q", position: 3, text: " the")

    /// A record of `user-events`.
    static func record(value: [UInt8]?, offset: Int64 = 0, timestamp: Int64 = 1_700_000_000_000) -> Record {
        Record(
            source: TopicPartition(Topic.userEvents.rawValue, 0),
            offset: offset,
            timestamp: timestamp,
            key: Array(user.utf8),
            value: value
        )
    }

    // MARK: - A model

    static func catalogue() throws -> Catalogue {
        try Catalogue(items: [
            CatalogueItem(id: "a", title: "Star Dust", categories: ["Action"]),
            CatalogueItem(id: "b", title: "Quiet Rain", categories: ["Drama", "Action"]),
        ])
    }

    static func tokenizer() throws -> Tokenizer {
        try BPETrainer.train(
            ["Star Dust", "Quiet Rain", "What will the user watch next?"],
            vocabularySize: 280,
            specialTokens: PromptFormat.specialTokens
        )
    }

    static func shape() throws -> UserLanguageModel.Configuration {
        let catalogue = try catalogue()
        var encoder = EncoderConfiguration(itemCount: catalogue.count, categoryCount: catalogue.categories.count)
        (encoder.width, encoder.layers, encoder.feedForwardWidth, encoder.length) = (8, 1, 8, 4)
        encoder.features.unknownItemBuckets = 1
        var language = LanguageModelConfiguration(vocabularySize: try tokenizer().vocabularySize)
        (language.width, language.layers, language.heads, language.keyValueHeads) = (8, 1, 2, 1)
        (language.headWidth, language.feedForwardWidth, language.maximumLength) = (4, 8, 64)
        var adapter = UserAdapter.Configuration(encoder: encoder, languageModel: language)
        (adapter.perceiver.latents, adapter.perceiver.layers, adapter.perceiver.feedForwardWidth) = (2, 1, 8)
        return UserLanguageModel.Configuration(encoder: encoder, adapter: adapter, languageModel: language)
    }

    static func model() throws -> UserLanguageModel {
        var random = SeededRandom(seed: 1)
        return try UserLanguageModel(configuration: shape(), using: &random)
    }
}
