/// A part of a process that runs until it is told to stop.
public protocol Service: Sendable {
    /// Its name in messages.
    var name: String { get }
    /// Runs; returns when `shutdown` is requested and everything is put away, or when its work is done.
    ///
    /// - Throws: what must end the process.
    func run(until shutdown: Shutdown) async throws
}

/// A service made of a closure.
public struct ServiceFunction: Service {
    /// Its name in messages.
    public let name: String
    private let body: @Sendable (Shutdown) async throws -> Void

    /// Makes a service of a closure.
    public init(_ name: String, _ body: @escaping @Sendable (Shutdown) async throws -> Void) {
        self.name = name
        self.body = body
    }

    /// Runs the closure.
    public func run(until shutdown: Shutdown) async throws {
        try await body(shutdown)
    }
}
