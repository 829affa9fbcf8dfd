internal import Foundation
public import Bytes
public import Catalogues
public import Messages
internal import RandomNumbers

/// A synthetic world of films and viewers, made from a seed, in which the truth behind every event is known.
///
/// A viewer has one favourite genre at a time and changes it now and then. The next film is mostly of the favourite
/// genre, more often a popular one, sometimes the natural successor of the previous film, and never one already seen.
/// Films of the favourite genre get better ratings. This makes it possible to check a model: it should know the current
/// genre and name films of it.
public struct SyntheticWorld: Sendable {
    /// The parameters of a world; equal configurations make equal worlds.
    public struct Configuration: Codable, Sendable, Equatable {
        /// The seed of all random draws.
        public var seed: UInt64
        /// Number of films.
        public var filmCount: Int
        /// Number of viewers whose histories are written; `viewer(_:)` can make further ones too.
        public var viewerCount: Int
        /// Fewest events of a viewer.
        public var minimumEvents: Int
        /// Most events of a viewer; at most half the films.
        public var maximumEvents: Int
        /// How often the next film is of the current favourite genre, 0 to 1.
        public var loyalty: Double
        /// How often it is the successor of the previous film, if that is of the favourite genre and unseen, 0 to 1.
        public var succession: Double

        /// Makes a configuration.
        public init(
            seed: UInt64 = 1,
            filmCount: Int = 320,
            viewerCount: Int = 2_000,
            minimumEvents: Int = 20,
            maximumEvents: Int = 90,
            loyalty: Double = 0.9,
            succession: Double = 0.3
        ) {
            self.seed = seed
            self.filmCount = filmCount
            self.viewerCount = viewerCount
            self.minimumEvents = minimumEvents
            self.maximumEvents = maximumEvents
            self.loyalty = loyalty
            self.succession = succession
        }

        func validate() throws(DatasetError) {
            func check(_ isRight: Bool, _ field: String, _ value: Any, _ reason: String) throws(DatasetError) {
                if !isRight { throw DatasetError(field: field, value: "\(value)", reason: reason) }
            }
            try check((16...20_000).contains(filmCount), "film count", filmCount, "is not from 16 to 20000")
            let viewers = 1...100_000_000
            try check(viewers.contains(viewerCount), "viewer count", viewerCount, "is not from 1 to 100000000")
            try check(minimumEvents >= 3, "fewest events", minimumEvents, "is not at least 3")
            try check(maximumEvents >= minimumEvents, "most events", maximumEvents, "is less than the fewest")
            try check(maximumEvents <= filmCount / 2, "most events", maximumEvents, "is more than half the films")
            try check((0...1).contains(loyalty), "loyalty", loyalty, "is not from 0 to 1")
            try check((0...1).contains(succession), "succession", succession, "is not from 0 to 1")
        }
    }

    /// One viewer's history and the truth behind it.
    public struct Viewer: Sendable {
        /// The viewer's id, as in the events.
        public let id: UserID
        /// What the viewer watched, oldest first.
        public let events: [Event]
        /// The viewer's favourite genre when each event happened.
        public let favouriteGenres: [String]
    }

    /// The genres of the world.
    public static let genres = ["Adventure", "Comedy", "Crime", "Drama", "Fantasy", "Horror", "Romance", "Western"]

    /// The configuration of this world.
    public let configuration: Configuration
    /// The films.
    public let catalogue: Catalogue

    private let popularity: [Double]
    private let successor: [Int]
    private let filmsOfGenre: [String: [Int]]
    /// 1 January 2020 in milliseconds since 1970.
    private static let beginning: Int64 = 1_577_836_800_000

    /// Makes a world.
    ///
    /// - Throws: `DatasetError` naming the configuration value that is out of range.
    public init(_ configuration: Configuration = Configuration()) throws(DatasetError) {
        try configuration.validate()
        var generator = SeededRandom(seed: configuration.seed)
        var titles = SyntheticTitles()
        var items: [CatalogueItem] = []
        for index in 0..<configuration.filmCount {
            // Every genre is the first genre of equally many films; half of the films have a second one.
            let first = Self.genres[index % Self.genres.count]
            let others = Self.genres.filter { $0 != first }
            let second = Bool.random(using: &generator) ? others.randomElement(using: &generator) : nil
            let title = titles.next(using: &generator)
            items.append(
                CatalogueItem(
                    id: ItemID("f\(index + 1)"),
                    title: title,
                    categories: [first] + (second.map { [$0] } ?? [])
                )
            )
        }
        self.configuration = configuration
        catalogue = try DatasetError.naming { () throws(CatalogueError) in try Catalogue(items: items) }
        let ranks = Array(0..<items.count).shuffled(using: &generator)
        popularity = ranks.map { 1 / Double(10 + $0) }
        var films: [String: [Int]] = [:]
        for (index, item) in items.enumerated() {
            for genre in item.categories { films[genre, default: []].append(index) }
        }
        filmsOfGenre = films
        // The successor is another film of the same first genre.
        successor = items.indices.map { index in
            let same = (films[items[index].categories[0]] ?? []).filter { $0 != index }
            return same.randomElement(using: &generator) ?? index
        }
    }

    /// Indices of the films of a genre.
    public func films(of genre: String) -> [Int] { filmsOfGenre[genre] ?? [] }

    /// The history of a viewer; the same index always gives the same one.
    ///
    /// - Parameter index: from 0; viewers below `viewerCount` are written out with the world.
    /// - Returns: the viewer with the full history.
    public func viewer(_ index: Int) -> Viewer {
        var generator = SeededRandom(seed: configuration.seed &* 0x1_0000_0001 &+ UInt64(index) &+ 1)
        let id = UserID("u\(index + 1)")
        let count = Int.random(in: configuration.minimumEvents...configuration.maximumEvents, using: &generator)
        var history = History(time: Self.beginning + Int64.random(in: 0..<90 * 86_400, using: &generator) * 1_000)
        var genre = Self.genres[Int.random(in: 0..<Self.genres.count, using: &generator)]
        var untilChange = 0
        var favouriteGenres: [String] = []
        for _ in 0..<count {
            if untilChange == 0 {
                untilChange = Int.random(in: 10...30, using: &generator)
                if !favouriteGenres.isEmpty {
                    genre = Self.genres.filter { $0 != genre }.randomElement(using: &generator) ?? genre
                }
            }
            untilChange -= 1
            favouriteGenres.append(genre)
            watch(favourite: genre, viewer: id, history: &history, using: &generator)
        }
        return Viewer(id: id, events: history.events, favouriteGenres: favouriteGenres)
    }

    /// What a viewer with a given past watches if the favourite genre is this one from now on.
    ///
    /// - Parameters:
    ///   - past: the viewer's events so far, oldest first; not empty.
    ///   - genre: the new favourite.
    ///   - count: how many events to make.
    ///   - seed: seed of the random draws.
    /// - Returns: only films of the genre, as long as there are unseen ones.
    public func continuation(of past: [Event], genre: String, count: Int, seed: UInt64) -> [Event] {
        guard let last = past.last else { return [] }
        var generator = SeededRandom(seed: seed)
        var history = History(time: last.time)
        history.seen = Set(past.compactMap { catalogue.index(of: $0.item) })
        history.firstNumber = past.count
        for _ in 0..<count {
            watch(favourite: genre, loyalty: 1, viewer: last.user, history: &history, using: &generator)
        }
        return history.events
    }

    private struct History {
        var time: Int64
        var firstNumber = 0
        var events: [Event] = []
        var seen: Set<Int> = []
        var lastFilm: Int?

        init(time: Int64) { self.time = time }
    }

    private func watch(
        favourite genre: String,
        loyalty: Double? = nil,
        viewer: UserID,
        history: inout History,
        using generator: inout SeededRandom
    ) {
        let loyal = generator.uniformDouble() < loyalty ?? configuration.loyalty
        let film = nextFilm(genre: loyal ? genre : nil, history: history, using: &generator)
        let isFavourite = catalogue.items[film].categories.contains(genre)
        let rating = isFavourite ? [3, 4, 4, 5, 5, 5] : [1, 2, 2, 3, 3, 4]
        // Hours to days between films, in whole seconds.
        history.time += Int64(3_600 * (2 - 30 * log(1 - generator.uniformDouble()))) * 1_000
        history.events.append(
            Event(
                id: "\(viewer)-\(history.firstNumber + history.events.count + 1)",
                user: viewer,
                item: catalogue.items[film].id,
                type: "rating",
                rating: Float(rating[Int.random(in: 0..<rating.count, using: &generator)]),
                time: history.time
            )
        )
        history.seen.insert(film)
        history.lastFilm = film
    }

    private func nextFilm(genre: String?, history: History, using generator: inout SeededRandom) -> Int {
        if let genre, let last = history.lastFilm {
            let next = successor[last]
            let fits = catalogue.items[next].categories.contains(genre) && !history.seen.contains(next)
            if fits, generator.uniformDouble() < configuration.succession { return next }
        }
        let unseen = (genre.map(films) ?? Array(catalogue.items.indices)).filter { !history.seen.contains($0) }
        guard !unseen.isEmpty else { return nextFilm(genre: nil, history: history, using: &generator) }
        return unseen[generator.index(weights: unseen.map { popularity[$0] })]
    }
}
