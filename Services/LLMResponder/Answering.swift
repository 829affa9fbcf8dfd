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
    /// Other model versions that had rows when the responder started.
    let otherVersions: [String]
    let health: HealthCondition

    /// Attempts a question: checks its deadline, then its user's row, then runs the model.
    ///
    /// - Throws: `CancellationError`, and any error from reading the row.
    func attempt(_ placed: PlacedQuestion) async throws -> QuestionOutcome {
        let start = ContinuousClock.now
        guard WallClock.milliseconds < placed.due else { return .answered(expired(placed)) }
        do {
            return try await attempt(placed.question, since: start)
        } catch let error as PostgresError where error.kind == .connection || error.kind == .retry {
            // The question has time until its deadline, and the database may be back before then.
            return .mustWaitForDatabase(error.description)
        }
    }

    /// The answer to a question whose deadline has passed.
    func expired(_ placed: PlacedQuestion) -> Answer {
        let isCut = placed.due < placed.question.deadline
        let reason =
            isCut
            ? "a day passed before it could be answered, and no question waits longer"
            : "the deadline passed before it could be answered"
        return ended(placed.question, .expired, reason: reason)
    }

    /// The answer to a question that can neither be answered now nor wait.
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

    /// A version under which the user has a row, if it is not this responder's.
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
            // A question that asks for no items still needs an answer.
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
            // Includes the wait for the row and for the model, because that is what the user experienced.
            answer.firstTokenMicroseconds = min(
                answer.computeMicroseconds,
                answer.computeMicroseconds - min(answer.computeMicroseconds, Self.microseconds(generated.total))
                    + Self.microseconds(generated.firstToken)
            )
            return valid(answer, to: question)
        } catch {
            // Cancellation says nothing about the question: the next owner of the partition answers it.
            if error == .cancelled { throw CancellationError() }
            return ended(question, .failed, reason: error.description)
        }
    }

    /// The answer, unless the model wrote something that no answer may contain, such as a NUL: that fails one question,
    /// not the process.
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

/// The result of one attempt at a question.
enum QuestionOutcome: Sendable {
    /// It is answered, successfully or not.
    case answered(Answer)
    /// The row does not cover enough events yet, and the deadline has not passed.
    case mustWaitForEvents
    /// The database is unavailable, for this reason, and the deadline has not passed.
    case mustWaitForDatabase(String)
}
