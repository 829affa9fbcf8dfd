/// Says whether reading files is to end.
///
/// An object around the closure: Swift 6.3.1 with optimization miscompiles a bare closure as a task-local value.
public final class ReadingStop: Sendable {
    /// Asked before each piece of a file.
    public let isDue: @Sendable () -> Bool

    /// Wraps the closure.
    public init(_ isDue: @escaping @Sendable () -> Bool) { self.isDue = isDue }
}
