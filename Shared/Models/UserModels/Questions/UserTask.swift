/// The tasks that the language model learns to answer, each in several phrasings.
///
/// Training samples from `trainingPhrasings`; `heldOutPhrasings` are never trained on, so that a test with them shows
/// whether a question is understood rather than recognised.
public enum UserTask: String, Sendable, CaseIterable {
    /// The title of the user's next item.
    case nextTitle = "next-title"
    /// The category most frequent among the events of the user's timeline.
    case favouriteCategory = "favourite-category"
    /// The categories of a title, independent of any user; `{title}` is replaced by the title.
    case titleCategories = "title-categories"

    /// Phrasings to train with.
    public var trainingPhrasings: [String] {
        switch self {
        case .nextTitle:
            [
                "What will the user watch next?",
                "Which title comes next?",
                "What should I watch next?",
                "Recommend the next film for this user.",
                "Name the next item of this timeline.",
                "What would the user like to see next?",
            ]
        case .favouriteCategory:
            [
                "What is the user's favourite genre?",
                "Which genre does the user watch most?",
                "What is my favourite category?",
                "Name the genre this user likes best.",
                "Which category is most frequent in this timeline?",
                "What kind of films do I like most?",
            ]
        case .titleCategories:
            [
                "Which genres has {title}?",
                "What kind of film is {title}?",
                "Name the categories of {title}.",
                "{title}: which genres?",
                "In which categories is {title}?",
                "What are the genres of {title}?",
            ]
        }
    }

    /// Phrasings held out for tests.
    public var heldOutPhrasings: [String] {
        switch self {
        case .nextTitle: ["Which film will the user watch next?", "What title should I see next?"]
        case .favouriteCategory: ["Which genre is the user's favourite?", "What genre do I watch most?"]
        case .titleCategories: ["Which categories has {title}?", "What genres are in {title}?"]
        }
    }

    /// A question in a randomly chosen training phrasing.
    ///
    /// - Parameters:
    ///   - title: replaces `{title}`, if the task uses it.
    ///   - generator: source of the random draws.
    /// - Returns: the question in natural language.
    public func question(title: String = "", using generator: inout some RandomNumberGenerator) -> String {
        let phrasings = trainingPhrasings
        return phrasings[Int.random(in: phrasings.indices, using: &generator)].replacing("{title}", with: title)
    }

    /// The answer to `titleCategories`.
    public static func categoriesAnswer(_ categories: [String]) -> String { categories.joined(separator: ", ") }

    /// The most frequent categories among events; several when there is a tie.
    ///
    /// - Parameter events: a timeline, or the part of it that is asked about; each event counts once per category.
    /// - Returns: the categories, ordered by their most recent event, latest first; training uses the first one. In an
    ///   evaluation any of them is correct. Empty when no event has a category.
    public static func favouriteCategories(of events: some Sequence<IndexedEvent>) -> [Int32] {
        var counts: [Int32: (count: Int, last: Int)] = [:]
        for (position, event) in events.enumerated() {
            for category in event.categories {
                counts[category] = ((counts[category]?.count ?? 0) + 1, position)
            }
        }
        let most = counts.values.map(\.count).max() ?? 0
        return counts.filter { $0.value.count == most }
            .sorted { ($0.value.last, $1.key) > ($1.value.last, $0.key) }
            .map(\.key)
    }
}
