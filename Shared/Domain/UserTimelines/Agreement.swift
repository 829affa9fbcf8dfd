/// What the stored timelines of a partition say together about how far its events were applied.
enum Agreement {
    /// How many users must say so: one timeline that somebody forged or damaged, or a few, say nothing about the others.
    static let userCount = 16

    /// The greatest offset that so many users reached.
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
