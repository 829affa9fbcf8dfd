package import Failpoints

extension Failpoint {
    /// Offsets are committed and outputs are not: only where `Protection.atomicCommit` is switched off.
    package static var betweenOffsetsAndOutputs: Failpoint { Failpoint("commit.between-offsets-and-outputs") }
}

extension Protection {
    /// Offsets and outputs become visible together; without it offsets come first.
    package static var atomicCommit: Protection { Protection("atomic-commit") }
    /// State is restored up to the true end of its topic, even past an open transaction.
    package static var restoreBarrier: Protection { Protection("restore-barrier") }
}
