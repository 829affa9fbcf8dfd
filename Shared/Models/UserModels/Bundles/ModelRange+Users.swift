import ModelFiles

/// The sizes that the parts around a language model may have.
extension ModelRange {
    static let items = 1...100_000_000
    static let categories = 0...10_000_000
    static let latents = 1...65_536
    static let buckets = 1...1_000_000
    /// Events of a timeline.
    static let events = 1...65_536
}
