internal import RandomNumbers

/// Invents film titles: pronounceable, distinct, and unlike any real film.
struct SyntheticTitles {
    private static let onsets = [
        "b", "br", "d", "dr", "f", "g", "gl", "h", "k", "kr", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "w",
        "z",
    ]
    private static let vowels = ["a", "e", "i", "o", "u", "ai", "ea", "ou"]
    private static let endings = ["n", "r", "l", "s", "th", "nd", "rk", "m", "sh", ""]
    private static let frames = [
        "The % Affair", "Return to %", "% Rising", "A Night in %", "The Last %", "% and @", "Beyond %", "The Road to %",
        "%'s Garden", "Letters from %", "%", "The % of @", "Goodbye, %", "Under the % Sky", "Captain %", "My Cousin %",
    ]

    private var given: Set<String> = []

    /// The next title, with its year.
    mutating func next(using generator: inout SeededRandom) -> String {
        while true {
            let frame = Self.frames[Int.random(in: 0..<Self.frames.count, using: &generator)]
            var title = frame.replacing("%", with: Self.word(using: &generator))
            if title.contains("@") { title = title.replacing("@", with: Self.word(using: &generator)) }
            // Distinct even without the year, so that a title identifies one film.
            guard given.insert(title).inserted else { continue }
            return "\(title) (\(Int.random(in: 1950...2019, using: &generator)))"
        }
    }

    private static func word(using generator: inout SeededRandom) -> String {
        var word = ""
        for _ in 0..<Int.random(in: 2...3, using: &generator) {
            word += onsets[Int.random(in: 0..<onsets.count, using: &generator)]
            word += vowels[Int.random(in: 0..<vowels.count, using: &generator)]
        }
        return (word + endings[Int.random(in: 0..<endings.count, using: &generator)]).capitalized
    }
}

extension String {
    fileprivate var capitalized: String { prefix(1).uppercased() + dropFirst() }
}
