import Concurrency
import Messages
import UserModels

/// The model, on its own thread: a matrix product must not block the cooperative pool.
actor Encoder {
    private let executor = BlockingExecutor(label: "encoder")
    private let engine: EncodingEngine

    /// The executor of this actor's own thread.
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    /// Makes an encoder with the weights of a bundle.
    init(bundle: ModelBundle, threads: Int) throws {
        engine = try bundle.makeEncodingEngine(threads: threads)
    }

    /// Encodes each timeline, all in one matrix batch.
    func encode(_ timelines: [[TimelineEvent]]) -> [EncodedUser] {
        engine.encode(timelines)
    }
}
