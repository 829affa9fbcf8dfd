import Concurrency

/// A thread for long computations.
actor ComputingThread {
    private let executor = BlockingExecutor(label: "training")

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        // The actor retains the executor for as long as it lives.
        unsafe executor.asUnownedSerialExecutor()
    }

    /// Runs the work and returns when it is done.
    func run(_ body: @Sendable () throws -> Void) throws { try body() }
}
