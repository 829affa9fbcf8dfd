import Foundation

/// The time of day as records carry it.
public enum WallClock {
    /// Milliseconds since 1970.
    public static var milliseconds: Int64 { Int64((Date().timeIntervalSince1970 * 1_000).rounded(.down)) }
}
