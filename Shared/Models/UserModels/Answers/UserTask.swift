/// What the language model is taught to answer, each in several phrasings.
///
/// Training draws from `trainingPhrasings`; `heldOutPhrasings` are never trained on, so that a test with them shows
/// whether a question is understood rather than recognised.
public enum UserTask: String, Sendable, CaseIterable {
    /// The title of the item the user takes next.
    case nextTitle = "next-title"
    /// The category most frequent among the events of the user's timeline.
    case favouriteCategory = "favourite-category"
    /// The categories of a title, of no user; `{title}` stands for it.
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

    /// Phrasings kept for tests.
    public var heldOutPhrasings: [String] {
        switch self {
        case .nextTitle: ["Which film will the user watch next?", "What title should I see next?"]
        case .favouriteCategory: ["Which genre is the user's favourite?", "What genre do I watch most?"]
        case .titleCategories: ["Which categories has {title}?", "What genres are in {title}?"]
        }
    }

    /// A question in a phrasing drawn from those of training.
    ///
    /// - Parameters:
    ///   - title: what stands for `{title}`, where the task has it.
    ///   - generator: source of the draw.
    /// - Returns: the question as a person would ask it.
    public func question(title: String = "", using generator: inout some RandomNumberGenerator) -> String {
        let phrasings = trainingPhrasings
        return phrasings[Int.random(in: phrasings.indices, using: &generator)].replacing("{title}", with: title)
    }

    /// The answer to `titleCategories`.
    public static func categoriesAnswer(_ categories: [String]) -> String { categories.joined(separator: ", ") }

    /// The categories most frequent among events; several when they are equally frequent.
    ///
    /// - Parameter events: a timeline, or the part of it that is asked about; each event counts once per category.
    /// - Returns: the category whose last event is the most recent first, which is the one training takes. In an
    ///   evaluation any of them is right. Empty when no event has a category.
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
