import Messages

/// A question by who asked it and the id it has: two users may choose the same id.
///
/// Bytes, as the log has them, so that texts which only look alike stay apart.
struct QuestionKey: Hashable, Sendable {
    /// The user's id.
    let user: [UInt8]
    /// The question's.
    let id: [UInt8]

    init(user: [UInt8], id: String) {
        self.user = user
        self.id = Array(id.utf8)
    }

    init(_ question: Question) {
        self.init(user: Array(question.user.utf8), id: question.id)
    }

    init(_ answer: Answer) {
        self.init(user: Array(answer.user.utf8), id: answer.questionID)
    }
}

extension Question {
    /// What tells whether a question that is sent again is the same one; its times may differ.
    var fingerprint: Int {
        var hasher = Hasher()
        hasher.combine(Array(text.utf8))
        hasher.combine(form)
        hasher.combine(itemCount)
        hasher.combine(maximumTokens)
        hasher.combine(temperature)
        hasher.combine(seed)
        hasher.combine(minimumEventCount)
        return hasher.finalize()
    }
}
