/// A safeguard that keeps a fault from producing a wrong result.
///
/// Declared where it protects. Only a build with `TEST_SWITCHES` can switch it off, to verify that its test would
/// notice: `USERLLM_WITHOUT_PROTECTION=row-guard,writer-fence` switches off two. In other builds it is always on, and
/// its name is not in the program.
public struct Protection: Sendable {
    #if TEST_SWITCHES
        /// As the environment names it.
        public let name: String

        /// Names a protection.
        public init(_ name: @autoclosure () -> String) { self.name = name() }

        /// Whether it was switched off for this process.
        public var isOff: Bool { FailurePlan.protectionsOff.contains(name) }
    #else
        /// Names a protection.
        @inlinable public init(_ name: @autoclosure () -> String) {}

        /// False in this build.
        @inlinable public var isOff: Bool { false }
    #endif
}
