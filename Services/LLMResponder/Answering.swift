import Bytes
import Messages
import PostgresClient
import EmbeddingStore
import ServiceRuntime
import Flows
import UserModels

/// What a question needs before the model can have it, and what becomes of it afterwards.
struct Answering: Sendable {
    let table: EmbeddingTable
    let responder: Responder
    let tokens: TokenPublisher
    let modelVersion: String
    /// Other model versions that had rows when the responder started.
    let otherVersions: [String]
    let health: HealthCondition

    /// Looks at a question: its deadline, then its user's row.
    ///
    /// - Throws: `CancellationError`, and any error from reading the row.
    func look(at placed: PlacedQuestion) async throws -> QuestionOutcome {
        guard WallClock.milliseconds < placed.due else { return .answered(expired(placed)) }
        do {
            return try await lookUp(placed.question)
        } catch let error as PostgresError where error.kind == .connection || error.kind == .retry {
            // The question has time until its deadline, and the database may be back before then.
            return .mustWaitForDatabase(error.description)
        } catch let error as PostgresError where error.kind == .data {
            // A row that cannot be read is no reason to stop answering others.
            return .answered(refused(placed, reason: error.description))
        }
    }

    /// Gives a question to the model.
    func begin(
        _ placed: PlacedQuestion,
        from row: UserEmbedding?,
        since start: ContinuousClock.Instant
    ) -> (Responder.Ticket, RunningQuestions.Entry) {
        let question = placed.question
        var request = AnswerRequest(question)
        // A question that asks for no items still needs an answer.
        request.itemCount = max(1, question.itemCount)
        let position = PieceCounter()
        let (milliseconds, _) = placed.due.subtractingReportingOverflow(WallClock.milliseconds)
        let submitted = ContinuousClock.now
        let ticket = responder.answer(
            request,
            context: row.map { UserContext($0) },
            deadline: submitted + .milliseconds(max(0, milliseconds))
        ) { [tokens] text in
            tokens.publish(
                AnswerToken(questionID: question.id, position: position.next(), text: text),
                user: question.user
            )
        }
        let entry = RunningQuestions.Entry(
            question: placed,
            start: start,
            submitted: submitted,
            eventCount: row?.eventCount
        )
        return (ticket, entry)
    }

    /// The answer to a question that the model is done with.
    func answer(_ entry: RunningQuestions.Entry, _ result: Result<GeneratedAnswer, AnswerError>) -> Answer {
        let question = entry.question.question
        switch result {
        case .failure where WallClock.milliseconds >= entry.question.due: return expired(entry.question)
        case .failure(let error): return ended(question, .failed, reason: error.description)
        case .success(let generated):
            var answer = ended(question, entry.eventCount == nil ? .noHistory : .answered, reason: "")
            answer.text = generated.text
            // All that a text names, however many were asked to be ranked.
            let itemCount = question.form.isText ? Limits.itemCount : question.itemCount
            answer.items = Array(generated.items.prefix(itemCount))
            answer.eventCount = entry.eventCount ?? 0
            answer.promptTokens = UInt32(clamping: generated.promptTokens)
            answer.answerTokens = UInt32(clamping: generated.answerTokens)
            answer.finish = generated.finish
            answer.computeMicroseconds = Self.microseconds(ContinuousClock.now - entry.start)
            // Includes the wait for the row and for the model, because that is what the user experienced.
            answer.firstTokenMicroseconds = min(
                answer.computeMicroseconds,
                Self.microseconds(entry.submitted - entry.start + generated.firstToken)
            )
            return valid(answer, to: question)
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

    private func lookUp(_ question: Question) async throws -> QuestionOutcome {
        let row = try await table.row(user: question.user, modelVersion: modelVersion)
        health.holds()
        if let row, row.eventCount >= question.minimumEventCount { return .mayBegin(row) }
        if question.minimumEventCount > 0 { return .mustWaitForEvents }
        if row == nil, let other = try await otherVersion(of: question.user) {
            let reason =
                "the user's row is of model version \(other), this responder has \(modelVersion): "
                + "the row follows with the user's next event, or start the responder with the bundle of the rows"
            return .answered(ended(question, .failed, reason: reason))
        }
        return .mayBegin(row)
    }

    /// A version under which the user has a row, if it is not this responder's.
    private func otherVersion(of user: UserID) async throws -> String? {
        for version in otherVersions {
            if try await table.row(user: user, modelVersion: version) != nil { return version }
        }
        return nil
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

/// What a look at a question says.
enum QuestionOutcome: Sendable {
    /// Its answer needs no model.
    case answered(Answer)
    /// The model may have it, with its user's row; nil for a user without events.
    case mayBegin(UserEmbedding?)
    /// The row does not cover enough events yet, and the deadline has not passed.
    case mustWaitForEvents
    /// The database is unavailable, for this reason, and the deadline has not passed.
    case mustWaitForDatabase(String)
}
