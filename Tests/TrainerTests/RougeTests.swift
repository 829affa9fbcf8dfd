import Testing

@testable import Trainer

@Suite("ROUGE")
struct RougeTests {
    struct Example: Sendable {
        var reference: String
        var text: String
        var unigrams: Double
        var longestSequence: Double
    }

    /// Values of the Python package rouge-score 0.1.2, without stemming; those of "police" also stand in Lin's paper.
    static let examples = [
        Example(
            reference: "The quick brown fox jumps over the lazy dog",
            text: "The quick brown dog jumps on the log.",
            unigrams: 0.7058823529411765,
            longestSequence: 0.5882352941176471
        ),
        Example(
            reference: "police killed the gunman",
            text: "police kill the gunman",
            unigrams: 0.75,
            longestSequence: 0.75
        ),
        Example(
            reference: "police killed the gunman",
            text: "the gunman kill police",
            unigrams: 0.75,
            longestSequence: 0.5
        ),
        Example(
            reference: "It's a great, GREAT strap -- 5 stars!",
            text: "great strap; it is a 5-star strap",
            unigrams: 0.625,
            longestSequence: 0.375
        ),
        Example(reference: "Café naïve", text: "cafe naive", unigrams: 0, longestSequence: 0),
        Example(
            reference: "the the the cat",
            text: "the cat the",
            unigrams: 0.8571428571428571,
            longestSequence: 0.5714285714285715
        ),
        Example(reference: "a b c d e", text: "a c e b d", unigrams: 1, longestSequence: 0.6),
        // A Kelvin sign, and a letter whose lower case is an i with a mark.
        Example(
            reference: "\u{212A}elvin \u{130}stanbul",
            text: "kelvin istanbul",
            unigrams: 0.4,
            longestSequence: 0.4
        ),
        Example(reference: "same text", text: "same text", unigrams: 1, longestSequence: 1),
        Example(reference: "", text: "abc", unigrams: 0, longestSequence: 0),
        Example(reference: "abc", text: "", unigrams: 0, longestSequence: 0),
        Example(reference: "...", text: "abc", unigrams: 0, longestSequence: 0),
    ]

    @Test(arguments: examples)
    func scoresAreThoseOfRougeScore(example: Example) {
        let score = Rouge(example.text, reference: example.reference)
        #expect(abs(score.unigrams - example.unigrams) < 1e-12)
        #expect(abs(score.longestSequence - example.longestSequence) < 1e-12)
    }

    @Test func theIntervalIsTheNormalOne() {
        var mean = ScoreMean()
        #expect(mean.mean == 0 && mean.interval == 0...1)
        for score in [0.2, 0.4, 0.6, 0.4] { mean.add(score) }
        #expect(abs(mean.mean - 0.4) < 1e-12)
        // The sample's variance is 0.08 / 3.
        let half = 1.959963984540054 * (0.08 / 3 / 4).squareRoot()
        #expect(abs(mean.interval.lowerBound - (0.4 - half)) < 1e-12)
        #expect(abs(mean.interval.upperBound - (0.4 + half)) < 1e-12)
        var same = ScoreMean()
        for _ in 0..<3 { same.add(0.5) }
        #expect(abs(same.interval.upperBound - same.interval.lowerBound) < 1e-6)
    }
}
