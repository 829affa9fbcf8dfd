import Concurrency
import LanguageEngine
import ModelFiles
import Synchronization
import UserModels

/// The language model, on its own thread: it continues all answers in progress together.
///
/// Orders and results pass through a shared desk, so nobody waits for the model and the model waits for nobody.
actor Responder {
    /// Identifies an answer in progress.
    struct Ticket: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    /// The end of an answer.
    struct Finished: Sendable {
        let ticket: Ticket
        let result: Result<GeneratedAnswer, AnswerError>
    }

    private enum Order: Sendable {
        case answer(Ticket, Commission)
        case cancel(Ticket)
    }

    /// What is to be answered, and who hears its pieces.
    private struct Commission: Sendable {
        let request: AnswerRequest
        let context: UserContext?
        let deadline: ContinuousClock.Instant
        let onPiece: @Sendable (String) -> Void
    }

    private struct Desk {
        var orders: [Order] = []
        var finished: [Finished] = []
        var metrics = EngineMetrics()
        var ticketCount: UInt64 = 0
    }

    private let executor = BlockingExecutor(label: "responder")
    /// The executor of this actor's own thread.
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    private let engine: AnsweringEngine
    private var tickets: [AnswerID: Ticket] = [:]
    private var answers: [Ticket: (id: AnswerID, onPiece: @Sendable (String) -> Void)] = [:]
    private nonisolated let desk = Mutex(Desk())
    private nonisolated let hasOrders = Signal()

    /// Makes a responder with the weights of a bundle.
    init(bundle: ModelBundle, settings: ModelSettings, limits: AnswerLimits) throws {
        engine = try bundle.makeAnsweringEngine(
            configuration: settings.engine(for: bundle.languageModel.configuration),
            weights: settings.weightFormat,
            limits: limits
        )
    }

    // MARK: - For any task

    /// Orders an answer.
    ///
    /// - Parameters:
    ///   - request: the question.
    ///   - context: what the user's row says; nil answers without history.
    ///   - deadline: when the answer is given up.
    ///   - onPiece: called with each piece as soon as it is final.
    /// - Returns: the name under which the end will be found.
    nonisolated func answer(
        _ request: AnswerRequest,
        context: UserContext?,
        deadline: ContinuousClock.Instant,
        onPiece: @escaping @Sendable (String) -> Void
    ) -> Ticket {
        let commission = Commission(request: request, context: context, deadline: deadline, onPiece: onPiece)
        let ticket = desk.withLock { desk in
            desk.ticketCount += 1
            let ticket = Ticket(number: desk.ticketCount)
            desk.orders.append(.answer(ticket, commission))
            return ticket
        }
        hasOrders.raise()
        return ticket
    }

    /// Gives answers up; those that have ended meanwhile are still found at the desk.
    nonisolated func cancel(_ tickets: [Ticket]) {
        guard !tickets.isEmpty else { return }
        desk.withLock { $0.orders += tickets.map { .cancel($0) } }
        hasOrders.raise()
    }

    /// Answers that have ended since this was asked last.
    nonisolated func takeFinished() -> [Finished] {
        desk.withLock { desk in
            defer { desk.finished = [] }
            return desk.finished
        }
    }

    /// What the engine is doing, as of its last step.
    nonisolated var metrics: EngineMetrics { desk.withLock { $0.metrics } }

    // MARK: - The model's thread

    /// Answers until the task is cancelled, and raises the signal whenever answers have ended.
    ///
    /// - Throws: `AnswerError` when a step of the engine fails, which says nothing about any question.
    func run(raising signal: Signal) async throws {
        while !Task.isCancelled {
            var finished: [Finished] = []
            // To read a long question takes milliseconds, so those in progress go on between two of them.
            for order in takeOrders(atMostAnswers: engine.isIdle ? .max : 1) { carryOut(order, &finished) }
            if engine.isIdle, finished.isEmpty {
                await hasOrders.wait()
                continue
            }
            for event in try engine.step() { take(event, &finished) }
            let metrics = engine.metrics
            desk.withLock { desk in
                desk.finished += finished
                desk.metrics = metrics
            }
            if !finished.isEmpty { signal.raise() }
        }
    }

    /// The next orders, in their sequence; no more answers than so many.
    private func takeOrders(atMostAnswers limit: Int) -> [Order] {
        desk.withLock { desk in
            var answers = 0
            let end = desk.orders.firstIndex { order in
                guard case .answer = order else { return false }
                answers += 1
                return answers > limit
            }
            defer { desk.orders.removeFirst(end ?? desk.orders.count) }
            return Array(desk.orders[..<(end ?? desk.orders.count)])
        }
    }

    private func carryOut(_ order: Order, _ finished: inout [Finished]) {
        switch order {
        case .cancel(let ticket):
            if let answer = answers[ticket] { engine.cancel(answer.id) }
        case .answer(let ticket, let commission):
            do throws(AnswerError) {
                let id = try engine.submit(
                    commission.request,
                    context: commission.context,
                    deadline: commission.deadline
                )
                tickets[id] = ticket
                answers[ticket] = (id, commission.onPiece)
            } catch {
                finished.append(Finished(ticket: ticket, result: .failure(error)))
            }
        }
    }

    private func take(_ event: AnswerEvent, _ finished: inout [Finished]) {
        switch event {
        case .piece(let id, let text):
            if let ticket = tickets[id] { answers[ticket]?.onPiece(text) }
        case .finished(let id, let result):
            guard let ticket = tickets.removeValue(forKey: id) else { return }
            answers[ticket] = nil
            finished.append(Finished(ticket: ticket, result: result))
        }
    }
}
