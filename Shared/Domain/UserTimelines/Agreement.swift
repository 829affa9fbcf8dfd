/// What the stored timelines of a partition jointly say about how far its events were applied.
enum Agreement {
    /// How many users must agree: a single forged or damaged timeline, or a few, says nothing about the others.
    static let userCount = 16

    /// The greatest offset that this many users reached.
    ///
    /// - Parameter offsets: of each user's last event.
    /// - Returns: nil when there are fewer users.
    static func offset(among offsets: some Sequence<Int64>) -> Int64? {
        // In ascending order.
        var greatest: [Int64] = []
        for offset in offsets {
            if greatest.count == userCount {
                guard offset > greatest[0] else { continue }
                greatest.removeFirst()
            }
            greatest.insert(offset, at: greatest.firstIndex { $0 >= offset } ?? greatest.count)
        }
        return greatest.count == userCount ? greatest[0] : nil
    }
}
