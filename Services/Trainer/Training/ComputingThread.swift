import Concurrency

/// A thread for work that computes for long.
actor ComputingThread {
    private let executor = BlockingExecutor(label: "training")

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        // The actor keeps the executor for as long as it lives.
        unsafe executor.asUnownedSerialExecutor()
    }

    /// Runs the work and returns when it is done.
    func run(_ body: @Sendable () throws -> Void) throws { try body() }
}
