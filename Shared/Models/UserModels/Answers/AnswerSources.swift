public import Catalogues

/// What questions are answered from, all of it made of one catalogue.
public struct AnswerSources: Sendable {
    /// The items.
    public let catalogue: Catalogue
    /// Finds items by id.
    public let features: EventFeatures
    /// Titles and categories of the catalogue.
    public let answers: KnownAnswers
    /// The format of questions and answers.
    public let format: PromptFormat

    /// Makes the answers of a catalogue.
    public init(catalogue: Catalogue, features: EventFeatures, format: PromptFormat) {
        self.catalogue = catalogue
        self.features = features
        self.format = format
        answers = KnownAnswers(catalogue: catalogue, categoryNames: features.categoryNames, format: format)
    }
}
