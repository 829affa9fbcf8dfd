import Synchronization

/// Something that becomes true once.
final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    /// Whether it is true by now.
    var isSet: Bool { value.load(ordering: .acquiring) }

    /// Makes it true.
    func set() { value.store(true, ordering: .releasing) }
}
