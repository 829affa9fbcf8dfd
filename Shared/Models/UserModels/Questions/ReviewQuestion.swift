import Messages

/// The task of writing what a user would say about an item, from its title and the user's rating, in several phrasings.
///
/// Like those of `UserTask`, some phrasings are held out: they are never trained on. Here the answer is free text.
public enum ReviewQuestion {
    /// Phrasings to train with.
    public static let trainingPhrasings = [
        "Write the user's review of {title}, rated {rating}.",
        "What does the user write about {title}? The rating is {rating}.",
        "Review {title} for this user, who rated it {rating}.",
        "The user rated {title} {rating}. Write the review.",
        "I rated {title} {rating}. Write my review.",
        "Which words go with the user's rating {rating} of {title}?",
    ]

    /// Phrasings held out for tests.
    public static let heldOutPhrasings = [
        "How does the user review {title}, rated {rating}?",
        "Say what I think of {title}. My rating is {rating}.",
    ]

    /// A question.
    ///
    /// - Parameters:
    ///   - phrasing: with `{title}` and `{rating}`, which are replaced.
    ///   - title: the item's title.
    ///   - rating: on the data set's own scale; nil for none.
    /// - Returns: the question in natural language.
    public static func text(_ phrasing: String, title: String, rating: Float?) -> String {
        // The title last, so that nothing in it is replaced.
        phrasing.replacing("{rating}", with: text(of: rating)).replacing("{title}", with: title)
    }

    private static func text(of rating: Float?) -> String {
        guard let rating, rating.isFinite else { return "none" }
        return rating == rating.rounded() && abs(rating) < 1e6 ? "\(Int(rating))" : "\(rating)"
    }
}

extension PromptFormat {
    /// What is learnt of a text that a user wrote: its first tokens, and that it ends where it does.
    ///
    /// - Parameters:
    ///   - text: the text.
    ///   - limit: its most tokens, at least 1.
    /// - Returns: the tokens, with the end token after a text that is not cut; at least one.
    public func target(_ text: String, tokens limit: Int) -> [Int32] {
        let tokens = answer(text)
        return tokens.count <= limit ? tokens + [end] : Array(tokens.prefix(limit))
    }

    /// Tokens of a question up to the start of its answer, where the question has words from outside.
    ///
    /// - Throws: `AnswerError.invalid` for a question that the chat template does not take.
    public func checkedPrompt(_ text: String) throws(AnswerError) -> [Int32] {
        try prompt(system: nil, turns: [], text: text, askedAt: WallClock.milliseconds)
    }
}
