internal import Glibc

extension Array<UInt8> {
    /// The index of the first byte of this value in a range; nil when there is none.
    ///
    /// Uses the C library's search, many times as fast as a loop: this finds the ends of lines.
    public func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) is not in 0..<\(count)")
        return withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress,
                let found = memchr(base + range.lowerBound, Int32(byte), range.count)
            else { return nil }
            return base.distance(to: UnsafeRawPointer(found))
        }
    }

    /// Whether the bytes of two ranges are the same.
    public func hasSameBytes(_ range: Range<Int>, as other: [UInt8], _ otherRange: Range<Int>) -> Bool {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) is not in 0..<\(count)")
        precondition(
            otherRange.lowerBound >= 0 && otherRange.upperBound <= other.count,
            "\(otherRange) is not in 0..<\(other.count)"
        )
        guard range.count == otherRange.count else { return false }
        guard !range.isEmpty else { return true }
        return withUnsafeBytes { bytes in
            other.withUnsafeBytes { otherBytes in
                guard let one = bytes.baseAddress, let two = otherBytes.baseAddress else { return false }
                return memcmp(one + range.lowerBound, two + otherRange.lowerBound, range.count) == 0
            }
        }
    }
}
