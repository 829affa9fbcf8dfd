/// Says whether reading files is to end.
///
/// An object around the closure: Swift 6.3.1, optimising, passes a closure itself wrongly to a task's local values.
public final class ReadingStop: Sendable {
    /// Asked before each piece of a file.
    public let isDue: @Sendable () -> Bool

    /// Takes what is asked.
    public init(_ isDue: @escaping @Sendable () -> Bool) { self.isDue = isDue }
}
