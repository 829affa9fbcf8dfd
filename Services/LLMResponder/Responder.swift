import Concurrency
import UserModels

/// The language model, on its own thread.
actor Responder {
    private let executor = BlockingExecutor(label: "responder")
    private let engine: AnsweringEngine

    /// The executor of this actor's own thread.
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    /// Makes a responder with the weights of a bundle.
    init(bundle: ModelBundle, limits: AnswerLimits) throws {
        engine = try bundle.makeAnsweringEngine(limits: limits)
    }

    /// Answers one question.
    ///
    /// - Parameters:
    ///   - request: the question.
    ///   - context: the user's row; nil answers without history.
    ///   - onToken: called with each piece as soon as it is final.
    /// - Returns: the answer.
    /// - Throws: `AnswerError` if the request or the context does not fit the model, or exceeds the limits of one
    ///   answer.
    func answer(
        _ request: AnswerRequest,
        context: [Float]?,
        onToken: @Sendable (String) -> Void
    ) throws(AnswerError) -> GeneratedAnswer {
        try engine.answer(request, context: context, onToken: onToken)
    }
}
