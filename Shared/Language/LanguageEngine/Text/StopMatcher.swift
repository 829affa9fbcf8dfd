/// Finds the first of several stop strings in a text that comes piece by piece.
///
/// Text that may be the beginning of a stop string is held back until it is known not to be.
struct StopMatcher {
    /// What a piece of text sets free.
    struct Output: Equatable {
        /// Text that no stop string can claim any more.
        var text: String
        /// Whether a stop string was found; `text` ends before it, and what follows it is dropped.
        var isStopped: Bool
    }

    // Strings are compared by their UTF-8 bytes: a stop string matches exactly itself.
    private let stops: [[UInt8]]
    /// The longest end of the text that is the beginning of a stop string.
    private(set) var held: [UInt8] = []

    /// Makes a matcher; empty strings match nothing.
    init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty } }

    /// Takes the next piece of text.
    mutating func append(_ piece: String) -> Output {
        if stops.isEmpty || piece.isEmpty { return Output(text: piece, isStopped: false) }
        held += Array(piece.utf8)
        if let start = firstMatch() {
            defer { held = [] }
            return Output(text: String(decoding: held[..<start], as: UTF8.self), isStopped: true)
        }
        let free = held.count - unfinishedCount()
        defer { held.removeFirst(free) }
        return Output(text: String(decoding: held[..<free], as: UTF8.self), isStopped: false)
    }

    /// Ends the text and gives what was held back.
    mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    /// Where the first stop string begins.
    private func firstMatch() -> Int? {
        held.indices.first { start in stops.contains { held[start...].starts(with: $0) } }
    }

    /// The length of the longest end of the text that begins a stop string.
    private func unfinishedCount() -> Int {
        let longest = (stops.map(\.count).max() ?? 0) - 1
        let candidates = stride(from: min(longest, held.count), to: 0, by: -1)
        return candidates.first { count in stops.contains { $0.starts(with: held.suffix(count)) } } ?? 0
    }
}
