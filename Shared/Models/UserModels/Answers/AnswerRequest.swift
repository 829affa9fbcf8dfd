public import Bytes
public import LanguageEngine
public import Messages

/// A question to an answering engine.
public struct AnswerRequest: Sendable, Equatable {
    /// The question as a person asked it.
    public var text: String
    /// What a chat model is told before the conversation; nil leaves it to the chat template's own default.
    public var system: String?
    /// The conversation before the question, oldest first; for chat models.
    public var turns: [Question.Turn]
    /// When the question was asked, in milliseconds since 1970, for chat templates that tell the day; nil is now.
    public var askedAt: Int64?
    /// The form of the answer.
    public var form: Question.AnswerForm
    /// How many items to rank when the answer is a title.
    public var itemCount: Int
    /// The most tokens of a text answer.
    public var maximumTokens: Int
    /// How the tokens of a text answer are chosen.
    ///
    /// An answer from the catalogue is drawn by temperature and seed; the rest is for texts.
    public var sampling = SamplingParameters()
    /// Texts at which a text answer ends, without them.
    public var stop: [String] = []
    /// Ids of items that may not be the answer; nil allows all.
    public var excludedItems: Set<ItemID>?
    /// Whether items that the user has had, as the context has them, may be the answer.
    public var includesSeen = false
    /// An item whose title is not searched for, but read, to learn how likely it is; for answers in the form of a title.
    public var givenItem: ItemID?

    /// Makes a request.
    public init(
        text: String,
        system: String? = nil,
        turns: [Question.Turn] = [],
        form: Question.AnswerForm = .known,
        itemCount: Int = 10,
        maximumTokens: Int = 32,
        temperature: Float = 0,
        seed: UInt64 = 0,
        excludedItems: Set<ItemID>? = nil
    ) {
        (self.form, self.itemCount, self.maximumTokens) = (form, itemCount, maximumTokens)
        (self.system, self.turns, self.text) = (system, turns, text)
        self.excludedItems = excludedItems
        sampling.temperature = temperature
        sampling.seed = seed
    }

    /// Takes what the engine needs from a question.
    public init(_ question: Question) {
        self.init(
            text: question.text,
            system: question.system,
            turns: question.turns,
            form: question.form,
            itemCount: question.itemCount,
            maximumTokens: question.maximumTokens,
            temperature: question.temperature,
            seed: question.seed
        )
        askedAt = question.askedAt
        includesSeen = question.includesSeen
        sampling.topK = question.topK
        sampling.topP = question.topP
        sampling.minP = question.minP
        sampling.repetitionPenalty = question.repetitionPenalty
        sampling.presencePenalty = question.presencePenalty
        sampling.frequencyPenalty = question.frequencyPenalty
        stop = question.stop
    }
}

/// Identifies an answer within its engine.
public struct AnswerID: Hashable, Sendable {
    let number: UInt64
}

/// What a step of an answering engine brought.
public enum AnswerEvent: Sendable {
    /// A piece of an answer that became certain, in whole characters; all pieces together are its text.
    case piece(AnswerID, String)
    /// The last event of an answer.
    case finished(AnswerID, Result<GeneratedAnswer, AnswerError>)
}

/// The result of an answering engine.
public struct GeneratedAnswer: Sendable, Equatable {
    /// The answer.
    public var text: String
    /// Ranked items, best first, when the answer is a title; those that a text with titles names, in its order.
    ///
    /// A score is the natural logarithm of the title's probability among all allowed answers.
    public var items: [Answer.Item] = []
    /// The choices on the way to a given item's title.
    public var branches: [AnswerBranch] = []
    /// Tokens of the prompt.
    public var promptTokens: Int
    /// Tokens of the answer, without the one that ends it.
    public var answerTokens: Int
    /// Why a text ended; nil for an answer from the catalogue.
    public var finish: Answer.Finish?
    /// From the submission to the first token of the answer.
    public var firstToken: Duration
    /// From the submission to the end.
    public var total: Duration
}
