import Dispatch

/// A serial executor with a thread of its own for an actor whose work may block.
///
/// The cooperative pool has one thread per core, so a blocking C call there would stop every other task. An actor that
/// waits for librdkafka, libpq or a matrix product returns one of these as its `unownedExecutor`.
public final class BlockingExecutor: SerialExecutor {
    private let queue: DispatchQueue

    /// Makes an executor.
    ///
    /// - Parameter label: the name its thread shows in a debugger.
    public init(label: String) {
        queue = DispatchQueue(label: label)
    }

    /// Runs a job on this executor's thread, after those that were queued before it.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    /// Runs `body` for each index below `count`, on as many threads, and returns when all are done.
    ///
    /// Blocks the calling thread, so it is called on a `BlockingExecutor` or in a program's own main thread.
    public static func concurrently(_ count: Int, _ body: @Sendable (Int) -> Void) {
        DispatchQueue.concurrentPerform(iterations: count, execute: body)
    }
}
