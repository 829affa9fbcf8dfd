import NeuralNetwork

/// The order in which windows of users' histories are trained on: a function of the seed alone.
///
/// There are two ways to cut a history into windows:
/// - end to end: in one epoch every event but a user's first is a target once. A user's windows are shifted by a random
///   offset in each epoch, so that each event is seen with histories of every length.
/// - every window: in one epoch each window of `length` events is read once; the event after it is its last target.
struct WindowSchedule: Sendable {
    /// A user's events from `start` on: at most the window's length, and one more as the last target.
    ///
    /// Kept small: if windows start at every event, a data set of 20 million events has about as many windows.
    struct Window: Sendable, Equatable {
        private let place: (user: Int32, start: Int32, end: Int32)

        /// Makes a window.
        init(user: Int, range: Range<Int>) {
            place = (Int32(user), Int32(range.lowerBound), Int32(range.upperBound))
        }

        /// The user.
        var user: Int { Int(place.user) }
        /// The range of the user's events.
        var range: Range<Int> { Int(place.start)..<Int(place.end) }

        static func == (first: Window, second: Window) -> Bool { first.place == second.place }
    }

    /// How histories are cut into windows.
    enum Cut: Sendable {
        /// One after the other, shifted by a random offset.
        case endToEnd
        /// One from each event that has enough events after it.
        case everyWindow
    }

    private let counts: [Int]
    private let length: Int
    private let seed: UInt64
    private let cut: Cut
    private var epoch = 0
    private var epochStart = 0
    private var windows: [Window] = []

    /// Makes a schedule.
    ///
    /// - Parameters:
    ///   - counts: the number of training events of each user.
    ///   - length: the maximum number of events read per window.
    ///   - seed: the seed of the order.
    ///   - cut: how histories become windows.
    init(counts: [Int], length: Int, seed: UInt64, cut: Cut = .endToEnd) {
        precondition(counts.contains { $0 >= 2 }, "no history has two events, so there is no window to learn from")
        self.counts = counts
        self.length = length
        self.seed = seed
        self.cut = cut
        makeWindows()
    }

    /// The windows in `range` of the endless sequence of epochs; ranges must ascend, or start over.
    mutating func windows(_ range: Range<Int>) -> [Window] {
        if range.lowerBound < epochStart { restart() }
        var result: [Window] = []
        result.reserveCapacity(range.count)
        for index in range {
            while index - epochStart >= windows.count { advance() }
            result.append(windows[index - epochStart])
        }
        return result
    }

    private mutating func restart() {
        (epoch, epochStart) = (0, 0)
        makeWindows()
    }

    private mutating func advance() {
        epochStart += windows.count
        epoch += 1
        makeWindows()
    }

    /// The windows of the current epoch, in random order.
    private mutating func makeWindows() {
        var random = SeededRandom(seed: SeededRandom.mix(seed, UInt64(epoch)))
        windows.removeAll(keepingCapacity: true)
        for (user, count) in counts.enumerated() where count >= 2 {
            switch cut {
            case .endToEnd: appendEndToEnd(user, count, &random)
            case .everyWindow:
                for start in 0...max(count - length - 1, 0) {
                    windows.append(Window(user: user, range: start..<min(start + length + 1, count)))
                }
            }
        }
        windows.shuffle(using: &random)
    }

    private mutating func appendEndToEnd(_ user: Int, _ count: Int, _ random: inout SeededRandom) {
        // A history that fits into one window is not cut.
        var start = count <= length + 1 ? 0 : -random.below(length)
        while start + 1 < count {
            let range = max(start, 0)..<min(start + length + 1, count)
            if range.count >= 2 { windows.append(Window(user: user, range: range)) }
            start += length
        }
    }
}
