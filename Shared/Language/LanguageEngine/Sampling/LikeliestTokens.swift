/// Leaves the likeliest tokens in a row of probabilities, in time that does not depend on how many they are.
///
/// Temperatures far above 1 make nearly all tokens about as likely; to sort them would take milliseconds a token.
struct LikeliestTokens {
    private let row: UnsafeMutableBufferPointer<Float>

    /// Numbers of sign, exponent and five bits of the fraction: positive numbers are ordered as their bits are.
    private static let bucketCount = 1 << 14
    private static func bucket(_ probability: Float) -> Int { Int(probability.bitPattern >> 18) }

    /// Works on a row of numbers from 0 to 1.
    init(_ row: UnsafeMutableBufferPointer<Float>) { self.row = row }

    /// Keeps the fewest of the likeliest that are enough and sets all others to zero.
    ///
    /// Of equally likely ones the lowest tokens are kept. All are when they are not enough.
    ///
    /// - Parameter isEnough: whether so many tokens with this sum of probabilities are; more of them are, too.
    func keep(until isEnough: (_ count: Int, _ sum: Double) -> Bool) {
        var counts = [Int](repeating: 0, count: Self.bucketCount)
        var sums = [Double](repeating: 0, count: Self.bucketCount)
        for probability in row where probability > 0 {
            counts[Self.bucket(probability)] += 1
            sums[Self.bucket(probability)] += Double(probability)
        }
        var (count, sum) = (0, 0.0)
        var last: Int?
        for bucket in counts.indices.reversed() where counts[bucket] > 0 {
            if isEnough(count + counts[bucket], sum + sums[bucket]) {
                last = bucket
                break
            }
            count += counts[bucket]
            sum += sums[bucket]
        }
        guard let last else { return }
        // Only those of the last bucket are put in order.
        let members = row.indices.filter { row[$0] > 0 && Self.bucket(row[$0]) == last }
            .sorted { (row[$0], $1) > (row[$1], $0) }
        var kept = 0
        while kept < members.count, !(kept > 0 && isEnough(count, sum)) {
            count += 1
            sum += Double(row[members[kept]])
            kept += 1
        }
        for index in row.indices where Self.bucket(row[index]) < last { row[index] = 0 }
        for index in members[kept...] { row[index] = 0 }
    }
}
