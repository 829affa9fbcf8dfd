import Bytes

/// The items that a user has had, as a model's row has them: by their numbers in the model's catalogue.
///
/// Coded they are varints: the first number, then by how much each is greater than the one before.
public struct SeenItems: Sendable, Equatable {
    /// The items' positions in the catalogue, ascending, each once; at most `Limits.seenItemCount` in a valid row.
    public let numbers: [UInt32]

    /// Takes numbers in any order; without any, nothing is known.
    public init(_ numbers: some Sequence<UInt32> = []) {
        var distinct: [UInt32] = []
        for number in numbers.sorted() where distinct.last != number { distinct.append(number) }
        self.numbers = distinct
    }

    /// Reads the coded numbers.
    ///
    /// - Parameters:
    ///   - bytes: the code; none are no numbers.
    ///   - field: the name of the field that they come from.
    /// - Throws: `MessageError` for bytes that are no such code, or of more numbers than `Limits.seenItemCount`.
    public init(coded bytes: [UInt8], field: String = "seen_items") throws(MessageError) {
        var numbers: [UInt32] = []
        var position = 0
        while position < bytes.count {
            let start = position
            guard let step = Varint.read(bytes.span, at: &position, before: bytes.count) else {
                throw MessageError(field: field, reason: "has a number at byte \(start) that does not end")
            }
            let (number, isTooGreat) = step.addingReportingOverflow(numbers.last.map { UInt64($0) } ?? 0)
            guard !isTooGreat, let number = UInt32(exactly: number) else {
                throw MessageError(field: field, reason: "has a number of more than 32 bits at byte \(start)")
            }
            guard step > 0 || numbers.isEmpty else {
                throw MessageError(field: field, reason: "has \(number) twice, again at byte \(start): send it once")
            }
            guard numbers.count < Limits.seenItemCount else {
                throw MessageError(field: field, reason: "has too many numbers: send at most \(Limits.seenItemCount)")
            }
            numbers.append(number)
        }
        self.numbers = numbers
    }

    /// The coded numbers; at most five bytes for each.
    public var coded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(2 * numbers.count)
        var last: UInt32 = 0
        for number in numbers {
            Varint.append(UInt64(number - last), to: &bytes)
            last = number
        }
        return bytes
    }
}
