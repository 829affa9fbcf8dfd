import Bytes
import Messages
import PostgresClient
import EmbeddingStore
import ServiceRuntime
import Flows
import UserModels

/// Answers one question from its user's row.
struct Answering: Sendable {
    let table: EmbeddingTable
    let responder: Responder
    let tokens: TokenPublisher
    let modelVersion: String
    /// Other versions that had rows when the responder started.
    let otherVersions: [String]
    let health: HealthCondition

    /// Looks at a question: its time first, then its user's row, then the model.
    ///
    /// - Throws: what reading the row throws, `CancellationError`.
    func attempt(_ placed: PlacedQuestion) async throws -> QuestionOutcome {
        let start = ContinuousClock.now
        guard WallClock.milliseconds < placed.due else { return .answered(expired(placed)) }
        do {
            return try await attempt(placed.question, since: start)
        } catch let error as PostgresError where error.kind == .connection || error.kind == .retry {
            // The question has time until its deadline, and perhaps the database is back before.
            return .mustWaitForDatabase(error.description)
        }
    }

    /// The answer to a question whose time is over.
    func expired(_ placed: PlacedQuestion) -> Answer {
        let isCut = placed.due < placed.question.deadline
        let reason =
            isCut
            ? "a day passed before it could be answered, and no question waits longer"
            : "the deadline passed before it could be answered"
        return ended(placed.question, .expired, reason: reason)
    }

    /// The answer to a question that cannot be answered now, and cannot wait either.
    func refused(_ placed: PlacedQuestion, reason: String) -> Answer { ended(placed.question, .failed, reason: reason) }

    private func attempt(_ question: Question, since start: ContinuousClock.Instant) async throws -> QuestionOutcome {
        let row = try await table.row(user: question.user, modelVersion: modelVersion)
        health.holds()
        if let row, row.eventCount >= question.minimumEventCount {
            return .answered(try await answer(question, from: row, since: start))
        }
        if question.minimumEventCount > 0 { return .mustWaitForEvents }
        if row == nil, let other = try await otherVersion(of: question.user) {
            let reason =
                "the user's row is of model version \(other), this responder has \(modelVersion): "
                + "the row follows with the user's next event, or start the responder with the bundle of the rows"
            return .answered(ended(question, .failed, reason: reason))
        }
        return .answered(try await answer(question, from: row, since: start))
    }

    /// A version under which the user has a row, though not under this responder's.
    private func otherVersion(of user: UserID) async throws -> String? {
        for version in otherVersions {
            if try await table.row(user: user, modelVersion: version) != nil { return version }
        }
        return nil
    }

    private func answer(
        _ question: Question,
        from row: UserEmbedding?,
        since start: ContinuousClock.Instant
    ) async throws -> Answer {
        let position = PieceCounter()
        do throws(AnswerError) {
            var request = AnswerRequest(question)
            // Who wants no items still wants the answer.
            request.itemCount = max(1, question.itemCount)
            let generated = try await responder.answer(request, context: row?.context) { text in
                let token = AnswerToken(questionID: question.id, position: position.next(), text: text)
                tokens.publish(token, user: question.user)
            }
            var answer = ended(question, row == nil ? .noHistory : .answered, reason: "")
            answer.text = generated.text
            answer.items = Array(generated.items.prefix(question.itemCount))
            answer.eventCount = row?.eventCount ?? 0
            answer.computeMicroseconds = Self.microseconds(ContinuousClock.now - start)
            // The wait for the row and for the model count too: it is what the asker waited.
            answer.firstTokenMicroseconds = min(
                answer.computeMicroseconds,
                answer.computeMicroseconds - min(answer.computeMicroseconds, Self.microseconds(generated.total))
                    + Self.microseconds(generated.firstToken)
            )
            return valid(answer, to: question)
        } catch {
            // That is no word on the question: whoever comes next answers it.
            if error == .cancelled { throw CancellationError() }
            return ended(question, .failed, reason: error.description)
        }
    }

    /// The answer, unless the model wrote what no answer may hold, such as a NUL: that ends one question, not the process.
    private func valid(_ answer: Answer, to question: Question) -> Answer {
        do throws(MessageError) {
            try answer.validate()
            return answer
        } catch {
            return ended(question, .failed, reason: "the model's answer cannot be sent: \(error)")
        }
    }

    private func ended(_ question: Question, _ status: Answer.Status, reason: String) -> Answer {
        Answer(
            questionID: question.id,
            user: question.user,
            status: status,
            reason: reason,
            modelVersion: modelVersion,
            askedAt: question.askedAt,
            answeredAt: WallClock.milliseconds
        )
    }

    private static func microseconds(_ duration: Duration) -> UInt64 {
        UInt64(max(0, duration / .microseconds(1)))
    }
}

/// What one look at a question gave.
enum QuestionOutcome: Sendable {
    /// It is answered, for better or worse.
    case answered(Answer)
    /// The row does not know enough events yet, and its time is not over.
    case mustWaitForEvents
    /// The database does not answer, for this reason, and its time is not over.
    case mustWaitForDatabase(String)
}
