import Bytes
import Messages
import RandomNumbers

/// Invented users whose timelines look like MovieLens's: a few thousand films, each of one of some 300 sets of genres, five
/// ratings, and events a few seconds to minutes apart.
struct TimelineSource: Sendable {
    private static let genres = [
        "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
        "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
    ]

    private let films: [(item: ItemID, genres: [String])]

    /// Makes the films, the same each time.
    init() {
        var random = SeededRandom(seed: 1)
        let sets = (0..<300).map { _ in
            let count = 1 + min(random.below(3), random.below(4))
            return Set((0..<count).map { _ in Self.genres[random.below(Self.genres.count)] }).sorted()
        }
        films = (1...3_700).map { (ItemID("\($0)"), sets[min(random.below(300), random.below(300))]) }
    }

    /// The name of a user.
    static func user(_ number: Int) -> UserID { "u\(100_000 + number)" }

    /// An event at a time; films come as often as their popularity says.
    func event(at time: Int64, _ random: inout SeededRandom) -> TimelineEvent {
        let film = films[min(random.below(films.count), random.below(films.count))]
        return TimelineEvent(
            item: film.item,
            rating: Float(1 + random.below(5)),
            categories: film.genres,
            time: time
        )
    }

    /// Seconds between two events, in milliseconds.
    static func gap(_ random: inout SeededRandom) -> Int64 {
        Int64(min(random.below(600), random.below(600), random.below(600))) * 1_000
    }

    /// A user's timeline, the same each time.
    func timeline(ofUser number: Int, length: Int) -> Timeline {
        var random = SeededRandom(seed: UInt64(number) + 2)
        var time: Int64 = 950_000_000_000 + Int64(random.below(100_000_000)) * 1_000
        var events: [TimelineEvent] = []
        events.reserveCapacity(length)
        for _ in 0..<length {
            events.append(event(at: time, &random))
            time += Self.gap(&random)
        }
        return Timeline(
            user: Self.user(number),
            eventCount: UInt64(length + random.below(200)),
            events: events
        )
    }
}
