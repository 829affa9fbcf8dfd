import Bytes
import Messages

/// A question by its user and its id, because two users may choose the same id.
struct QuestionKey: Hashable, Sendable {
    let user: UserID
    let id: QuestionID

    init(user: UserID, id: QuestionID) {
        self.user = user
        self.id = id
    }

    init(_ question: Question) {
        self.init(user: question.user, id: question.id)
    }

    init(_ answer: Answer) {
        self.init(user: answer.user, id: answer.questionID)
    }
}

extension Question {
    /// Distinguishes a question sent again from a different one; its times may differ.
    var fingerprint: Int {
        var hasher = Hasher()
        hasher.combine(TextKey(text))
        hasher.combine(system.map { TextKey($0) })
        hasher.combine(turns.count)
        for turn in turns {
            hasher.combine(turn.role)
            hasher.combine(TextKey(turn.text))
        }
        hasher.combine(form)
        hasher.combine(itemCount)
        hasher.combine(maximumTokens)
        hasher.combine(temperature)
        hasher.combine(seed)
        hasher.combine(topK)
        for number in [topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty] { hasher.combine(number) }
        hasher.combine(stop.map { TextKey($0) })
        hasher.combine(includesSeen)
        hasher.combine(minimumEventCount)
        return hasher.finalize()
    }
}
