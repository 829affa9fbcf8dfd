import ModelFiles
import NeuralNetwork
import UserModels

/// The configurations of a User-LLM's parts, as saved in its checkpoints.
struct UserLLMConfiguration: Codable, Sendable {
    var encoder: AutoregressiveEncoder.Configuration
    var adapter: UserAdapter.Configuration
    var languageModel: LanguageModelConfiguration
    /// What is trained; nil in checkpoints of earlier versions, whose weights are all saved.
    var strategy: UserLanguageModel.Strategy?
    /// The shape of the language model's low-rank updates; nil where there are none.
    var lowRank: LowRankAdapter.Configuration?
    /// The published language model that the training began with; nil for one of our own.
    var published: PublishedModel?

    /// The shapes of all parts.
    var shape: UserLanguageModel.Configuration {
        UserLanguageModel.Configuration(encoder: encoder, adapter: adapter, languageModel: languageModel)
    }

    /// Whether the language model's own weights are those of the published files, so that a checkpoint does without them.
    var leavesPublishedWeights: Bool { published != nil && strategy != .full }

    /// What a checkpoint of a model holds.
    func saved(_ model: UserLanguageModel) -> [Parameter] {
        guard leavesPublishedWeights else { return model.parameters }
        return model.encoder.parameters + model.adapter.parameters + (model.languageModel.lowRank?.parameters ?? [])
    }
}
