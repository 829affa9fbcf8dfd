import Bytes
import Catalogues
import Datasets

/// Whose ranking of titles it is.
///
/// The raw value is the key in results.
enum AnswerRanking: String, CaseIterable, Codable, CodingKeyRepresentable, Sendable {
    case textPrompt = "text_prompt"
    case userLLM = "user_llm"
    case fused
    case encoderHead = "encoder_head"
}

/// What a user had next and what was answered, for people to look at.
///
/// Evaluations keep it of the same users, so that their answers can stand side by side.
struct AnswerExample: Codable, Sendable, Equatable {
    /// An item.
    struct Title: Codable, Sendable, Equatable {
        var id: ItemID
        /// Its title, cut when it is long.
        var title: String

        /// The most characters that are kept of a title, so that a result stays small.
        static let characterCount = 120

        init(_ id: ItemID, _ title: String) {
            self.id = id
            let scalars = title.unicodeScalars
            self.title = scalars.count > Self.characterCount ? String(scalars.prefix(Self.characterCount)) + "…" : title
        }

        init(_ item: CatalogueItem) { self.init(item.id, item.title) }
    }

    var user: UserID
    /// The items of the last events before the one that is asked about, oldest first.
    var recent: [Title]
    /// The item of the event that is asked about.
    var truth: Title
    /// The first titles of each ranking, best first; items the user has already had are left out.
    var answers: [AnswerRanking: [Title]]

    /// How many users are kept.
    static let userCount = 10
    /// How many titles are kept of each ranking.
    static let titleCount = 5
    /// How many events are kept.
    static let recentCount = 5

    /// An example of what was answered about a user's last event.
    init(_ dataset: PreparedDataset, user: Int, answers: [AnswerRanking: [Title]]) {
        let last = dataset.eventCount(ofUser: user) - 1
        func title(_ event: Int) -> Title { Title(dataset.catalogue.items[dataset.item(user: user, event)]) }
        self.user = dataset.users[user]
        recent = (max(last - Self.recentCount, 0)..<last).map(title)
        truth = title(last)
        self.answers = answers.mapValues { Array($0.prefix(Self.titleCount)) }
    }
}

/// The examples of a result: a list in JSON, and a word for people.
struct AnswerExamples: Encodable, CustomStringConvertible, Sendable {
    let users: [AnswerExample]

    var description: String { "answers about \(users.count) users, with --json" }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(users)
    }
}
