import Synchronization

/// Numbers the pieces of one answer.
final class PieceCounter: Sendable {
    private let value = Atomic<UInt32>(0)

    /// 0, then 1, and so on.
    func next() -> UInt32 {
        value.wrappingAdd(1, ordering: .relaxed).oldValue
    }
}
