import Datasets
import Bytes
import Messages
import Files

/// An event on its way from the file to the log.
struct ImportEvent: Sendable, Equatable {
    /// The user's id, UTF-8: the record's key.
    let user: [UInt8]
    /// The event in the form that the log stores.
    let value: [UInt8]

    init(user: [UInt8], value: [UInt8]) {
        self.user = user
        self.value = value
    }

    init(_ event: Event) throws(MessageError) {
        user = Array(event.user.utf8)
        value = try event.encoded()
    }

    // MARK: - While it is sorted

    /// The event as one byte string, after a number chosen by the sorter.
    func packed(number: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(10 + user.count + value.count)
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
        bytes.append(UInt8(truncatingIfNeeded: user.count))
        bytes.append(UInt8(truncatingIfNeeded: user.count >> 8))
        return bytes + user + value
    }

    /// The event that `packed` turned into these bytes.
    static func unpacked(_ bytes: [UInt8]) -> (event: ImportEvent, number: UInt64) {
        var number: UInt64 = 0
        for index in 0..<8 { number |= UInt64(bytes[index]) << (8 * UInt64(index)) }
        let end = 10 + Int(bytes[8]) + Int(bytes[9]) << 8
        return (ImportEvent(user: Array(bytes[10..<end]), value: Array(bytes[end...])), number)
    }

    /// A hash that stands for a user; collisions are practically impossible.
    static func number(of user: [UInt8]) -> UInt64 {
        SHA256.digest(of: user).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Events that are appended together, in order.
struct ImportBatch: Sendable {
    var events: [ImportEvent] = []
    /// Where in the file the last of them ended; nil if they are not in file order.
    var position: ReadPosition?
    /// The file's digest up to that position, if it is not known already.
    var checkpoint: Checkpoint?
    /// What was left out, decoded or assumed up to that position, by all runs; nil if it is known already.
    var counts: ReadingCounts?
    /// How much of the file on disk has been read.
    var bytesRead = 0
}
