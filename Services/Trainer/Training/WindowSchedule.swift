import NeuralNetwork

/// The order in which windows of users' histories are trained on: a function of the seed alone.
///
/// In one epoch every event but a user's first is a target once. Windows of one user stand end to end, moved by a random
/// offset in each epoch, so that each event is seen with histories of every length.
struct WindowSchedule: Sendable {
    /// Events from `start` on, of one user: at most the window's length, and one more as the last target.
    struct Window: Sendable, Equatable {
        var user: Int
        var range: Range<Int>
    }

    private let counts: [Int]
    private let length: Int
    private let seed: UInt64
    private var epoch = 0
    private var epochStart = 0
    private var windows: [Window] = []

    /// Makes a schedule.
    ///
    /// - Parameters:
    ///   - counts: training events of each user.
    ///   - length: the most events of a window that are read.
    ///   - seed: of the order.
    init(counts: [Int], length: Int, seed: UInt64) {
        self.counts = counts
        self.length = length
        self.seed = seed
        windows = Self.epoch(0, counts: counts, length: length, seed: seed)
    }

    /// Whether there is anything to learn from.
    var isEmpty: Bool { windows.isEmpty }

    /// Windows number `range` of the endless sequence of epochs; asked for in ascending order, or from the start again.
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
        windows = Self.epoch(0, counts: counts, length: length, seed: seed)
    }

    private mutating func advance() {
        epochStart += windows.count
        epoch += 1
        windows = Self.epoch(epoch, counts: counts, length: length, seed: seed)
    }

    private static func epoch(_ epoch: Int, counts: [Int], length: Int, seed: UInt64) -> [Window] {
        var random = SeededRandom(seed: SeededRandom.mix(seed, UInt64(epoch)))
        var windows: [Window] = []
        for (user, count) in counts.enumerated() where count >= 2 {
            // A history that fits into one window is not cut.
            var start = count <= length + 1 ? 0 : -random.below(length)
            while start + 1 < count {
                let range = max(start, 0)..<min(start + length + 1, count)
                if range.count >= 2 { windows.append(Window(user: user, range: range)) }
                start += length
            }
        }
        return windows.shuffled(using: &random)
    }
}
