/// How much of one text is in another: the ROUGE scores of generated reviews.
///
/// Texts are compared in lower case, as the runs of `a-z` and `0-9` in them, without stemming: as Google Research's
/// `rouge_score` does by default.
/// - Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, sections 2 and 3.1.
struct Rouge: Sendable, Equatable {
    /// ROUGE-1: F1 of the words that both texts have, each as often as both do; from 0 to 1.
    let unigrams: Double
    /// ROUGE-L: F1 of the longest sequence of words that both texts have in this order, with gaps; from 0 to 1.
    let longestSequence: Double

    /// Compares a text with the one that was wanted; one without words scores 0.
    init(_ text: String, reference: String) {
        let (found, wanted) = (Self.words(text), Self.words(reference))
        func f1(_ common: Int) -> Double {
            // 2pr / (p + r), where p and r divide the same count by the one and the other length.
            common == 0 ? 0 : 2 * Double(common) / Double(found.count + wanted.count)
        }
        unigrams = f1(Self.commonCount(found, wanted))
        longestSequence = f1(Self.longestSequence(found, wanted))
    }

    /// The words of a text.
    static func words(_ text: String) -> [[UInt8]] {
        text.lowercased().utf8
            .split { !(UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0) }
            .map(Array.init)
    }

    private static func commonCount(_ found: [[UInt8]], _ wanted: [[UInt8]]) -> Int {
        var counts: [[UInt8]: Int] = [:]
        for word in wanted { counts[word, default: 0] += 1 }
        var common = 0
        for word in found {
            guard let left = counts[word], left > 0 else { continue }
            counts[word] = left - 1
            common += 1
        }
        return common
    }

    /// The length of the longest common subsequence.
    ///
    /// - Complexity: the product of both lengths in time, one of them in memory.
    private static func longestSequence(_ found: [[UInt8]], _ wanted: [[UInt8]]) -> Int {
        var row = [Int](repeating: 0, count: wanted.count + 1)
        for word in found {
            // What the row before had one column to the left.
            var diagonal = 0
            for (index, other) in wanted.enumerated() {
                let above = row[index + 1]
                row[index + 1] = word == other ? diagonal + 1 : max(above, row[index])
                diagonal = above
            }
        }
        return row[wanted.count]
    }
}

/// The mean of both scores over users, with their 95 % intervals.
struct RougeMetrics: Sendable {
    private var unigrams = ScoreMean()
    private var longestSequences = ScoreMean()

    /// How many users were asked about.
    var count: Int { unigrams.count }

    /// Adds the score of one user.
    mutating func add(_ score: Rouge) {
        unigrams.add(score.unigrams)
        longestSequences.add(score.longestSequence)
    }

    /// Both means by name.
    var means: [(name: String, value: ScoreMean)] { [("rouge_1", unigrams), ("rouge_l", longestSequences)] }
}

/// A mean over users, with the normal approximation's interval.
struct ScoreMean: Sendable {
    private(set) var count = 0
    private var sum = 0.0
    private var squares = 0.0

    /// Adds one user's score, from 0 to 1.
    mutating func add(_ score: Double) {
        count += 1
        sum += score
        squares += score * score
    }

    /// The mean; 0 without users.
    var mean: Double { count == 0 ? 0 : sum / Double(count) }

    /// Where the mean over all such users is with 95 % confidence; all from 0 to 1 with fewer than two users.
    ///
    /// The mean and 1.96 standard errors to both sides, within 0 and 1.
    var interval: ClosedRange<Double> {
        guard count > 1 else { return 0...1 }
        let variance = max(squares - sum * mean, 0) / Double(count - 1)
        let half = 1.959963984540054 * (variance / Double(count)).squareRoot()
        return max(mean - half, 0)...min(mean + half, 1)
    }
}

extension Report {
    /// Adds ROUGE-1 and ROUGE-L with the ends of their 95 % intervals.
    mutating func add(_ metrics: RougeMetrics, _ suffix: String) {
        for (name, value) in metrics.means {
            add("\(name)\(suffix)", value.mean)
            add("\(name)\(suffix)_low", value.interval.lowerBound)
            add("\(name)\(suffix)_high", value.interval.upperBound)
        }
    }
}
