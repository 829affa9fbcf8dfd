import Bytes
import Messages

/// One user's timeline as one compact run of bytes, because millions of them are held.
///
/// First comes the head, with two bits beside the generation that say whether it has sources and items of earlier
/// events. Then come the events, oldest first, each with its item's number, its list of categories, a byte for the
/// rating and what follows, the time since the previous event, and the digest of its id if it has one. Numbers are
/// varints. Times are counted back from that of the last event, which the head has, so that the oldest event can be cut
/// off at the front without touching the others. An event of MovieLens takes about 6 bytes.
struct PackedTimeline {
    /// The part before the events.
    struct Head {
        var generation: UInt32 = 0
        var eventCount: UInt64 = 0
        var lastOffset: Int64 = -1
        /// When the last event happened, in milliseconds since 1970.
        var lastTime: Int64 = 0
        /// How many events follow.
        var heldCount = 0
        /// The sum of their `TimelineEvent.storedByteCount`, and of that of the earlier items.
        var storedByteCount = 0
        /// As `Timeline` has them; most users have none, and then they take no byte.
        var sources: [Timeline.Source] = []
        /// As `Timeline` has them, as numbers in the shared tables.
        var earlierItems: [UInt32] = []

        /// The offset of the last record that was rerouted from a partition; -1 when none was.
        func lastOffset(from partition: Int32) -> Int64 {
            sources.first { $0.partition == partition }?.offset ?? -1
        }

        /// Notes a rerouted record that is past the last one of its partition.
        mutating func note(_ source: Timeline.Source) {
            let place = sources.firstIndex { $0.partition >= source.partition } ?? sources.count
            if place < sources.count, sources[place].partition == source.partition {
                sources[place] = source
            } else if sources.count < Limits.sourceCount {
                sources.insert(source, at: place)
            }
        }
    }

    /// An event, its texts as numbers in the shared tables.
    struct Event {
        var item: UInt32
        /// 0 without categories, else 1 + the number of its list.
        var list: UInt32
        var rating: Float?
        /// Milliseconds since the previous event; meaningless for the first event.
        var gap: Int64
        var idDigest: UInt64?
    }

    /// The byte after an event's list.
    private enum Flags {
        static let hasID: UInt8 = 0x80
        /// The gap is in milliseconds, not in whole seconds.
        static let isFine: UInt8 = 0x40
        /// The rest: 0 without a rating, 1 + twice the rating for half steps up to 30, or this with 4 bytes behind it.
        static let otherRating: UInt8 = 0x3F
    }

    private var bytes: [UInt8] = []

    /// A timeline without events.
    init() {}

    /// How many bytes it takes.
    var byteCount: Int { bytes.count }

    /// Replaces everything before a position by a new head, and appends an event.
    ///
    /// It allocates exactly the size it needs, because most timelines have reached their final size.
    mutating func replace(upTo position: Int, with head: ArraySlice<UInt8>, adding event: ArraySlice<UInt8>) {
        let count = head.count + bytes.count - position + event.count
        if count <= bytes.capacity, bytes.capacity - count < 64 {
            bytes.replaceSubrange(0..<position, with: head)
            bytes.append(contentsOf: event)
            return
        }
        var new: [UInt8] = []
        new.reserveCapacity(count)
        new.append(contentsOf: head)
        new.append(contentsOf: bytes[position...])
        new.append(contentsOf: event)
        bytes = new
    }

    /// Replaces the contents by what was written.
    mutating func replace(with written: ArraySlice<UInt8>) {
        replace(upTo: bytes.count, with: written, adding: [])
    }

    /// Only the head's `lastOffset`.
    var lastOffset: Int64 {
        guard !bytes.isEmpty else { return -1 }
        var position = 0
        let bytes = bytes.span
        for _ in 0..<2 { _ = Self.varint(bytes, &position) }
        return Int64(bitPattern: Self.varint(bytes, &position)) &- 1
    }

    /// The head, and where the events begin.
    func head() -> (head: Head, end: Int) {
        var head = Head()
        guard !bytes.isEmpty else { return (head, 0) }
        var position = 0
        let bytes = bytes.span
        let first = Self.varint(bytes, &position)
        head.generation = UInt32(truncatingIfNeeded: first >> 2)
        head.eventCount = Self.varint(bytes, &position)
        head.lastOffset = Int64(bitPattern: Self.varint(bytes, &position)) &- 1
        head.lastTime = Int64(bitPattern: Self.varint(bytes, &position))
        head.heldCount = Int(Self.varint(bytes, &position))
        head.storedByteCount = Int(Self.varint(bytes, &position))
        if first & 1 == 1 {
            for _ in 0..<Self.varint(bytes, &position) {
                let partition = Int32(truncatingIfNeeded: Self.varint(bytes, &position))
                let offset = Int64(bitPattern: Self.varint(bytes, &position))
                head.sources.append(Timeline.Source(partition: partition, offset: offset))
            }
        }
        if first & 2 == 2 {
            let count = Int(Self.varint(bytes, &position))
            head.earlierItems.reserveCapacity(count + 1)
            for _ in 0..<count {
                head.earlierItems.append(UInt32(truncatingIfNeeded: Self.varint(bytes, &position)))
            }
        }
        return (head, position)
    }

    /// The event at a position, which is advanced to the next.
    func event(at position: inout Int) -> Event {
        let bytes = bytes.span
        let item = UInt32(truncatingIfNeeded: Self.varint(bytes, &position))
        let list = UInt32(truncatingIfNeeded: Self.varint(bytes, &position))
        let flags = bytes[position]
        position += 1
        var rating: Float?
        let code = flags & Flags.otherRating
        if code == Flags.otherRating {
            rating = Float(bitPattern: UInt32(Self.fixed(bytes, &position, 4)))
        } else if code > 0 {
            rating = Float(code - 1) / 2
        }
        let number = Self.varint(bytes, &position)
        let gap = Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
        return Event(
            item: item,
            list: list,
            rating: rating,
            gap: flags & Flags.isFine != 0 ? gap : gap * 1_000,
            idDigest: flags & Flags.hasID != 0 ? Self.fixed(bytes, &position, 8) : nil
        )
    }

    // MARK: - Writing

    /// The most bytes that a head takes.
    static func maximumByteCount(of head: Head) -> Int { 72 + head.sources.count * 15 + head.earlierItems.count * 5 }
    /// The most bytes that an event takes.
    static let maximumEventByteCount = 33

    /// Writes a head at a position, which is advanced past it.
    static func write(_ head: Head, to target: inout MutableSpan<UInt8>, at position: inout Int) {
        let parts: UInt64 = (head.sources.isEmpty ? 0 : 1) | (head.earlierItems.isEmpty ? 0 : 2)
        write(UInt64(head.generation) << 2 | parts, &target, &position)
        write(head.eventCount, &target, &position)
        write(UInt64(bitPattern: head.lastOffset &+ 1), &target, &position)
        write(UInt64(bitPattern: head.lastTime), &target, &position)
        write(UInt64(head.heldCount), &target, &position)
        write(UInt64(head.storedByteCount), &target, &position)
        if !head.sources.isEmpty {
            write(UInt64(head.sources.count), &target, &position)
            for source in head.sources {
                write(UInt64(UInt32(bitPattern: source.partition)), &target, &position)
                write(UInt64(bitPattern: source.offset), &target, &position)
            }
        }
        if !head.earlierItems.isEmpty {
            write(UInt64(head.earlierItems.count), &target, &position)
            for item in head.earlierItems { write(UInt64(item), &target, &position) }
        }
    }

    /// Writes an event at a position, which is advanced past it.
    static func write(_ event: Event, to target: inout MutableSpan<UInt8>, at position: inout Int) {
        write(UInt64(event.item), &target, &position)
        write(UInt64(event.list), &target, &position)
        let (seconds, rest) = event.gap.quotientAndRemainder(dividingBy: 1_000)
        let code = event.rating.map(ratingCode) ?? 0
        target[position] = code | (event.idDigest == nil ? 0 : Flags.hasID) | (rest == 0 ? 0 : Flags.isFine)
        position += 1
        if code == Flags.otherRating, let rating = event.rating {
            write(fixed: UInt64(rating.bitPattern), 4, &target, &position)
        }
        let gap = rest == 0 ? seconds : event.gap
        write(UInt64(bitPattern: gap << 1 ^ gap >> 63), &target, &position)
        if let digest = event.idDigest { write(fixed: digest, 8, &target, &position) }
    }

    private static func ratingCode(_ rating: Float) -> UInt8 {
        let doubled = rating * 2
        guard rating.sign == .plus, doubled <= 60 else { return Flags.otherRating }
        let code = UInt8(doubled)
        return Float(code) == doubled ? code + 1 : Flags.otherRating
    }

    /// Writes a varint at a position, which is advanced past it.
    @inline(__always)
    static func write(_ value: UInt64, _ target: inout MutableSpan<UInt8>, _ position: inout Int) {
        var value = value
        while value >= 0x80 {
            target[position] = UInt8(truncatingIfNeeded: value) | 0x80
            position += 1
            value >>= 7
        }
        target[position] = UInt8(truncatingIfNeeded: value)
        position += 1
    }

    private static func write(
        fixed value: UInt64,
        _ byteCount: Int,
        _ target: inout MutableSpan<UInt8>,
        _ position: inout Int
    ) {
        for index in 0..<byteCount {
            target[position + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
        }
        position += byteCount
    }

    // MARK: - Numbers

    /// A varint at a position, which is advanced past it.
    @inline(__always)
    static func varint(_ bytes: Span<UInt8>, _ position: inout Int) -> UInt64 {
        guard let value = Varint.read(bytes, at: &position, before: bytes.count) else {
            preconditionFailure("a packed timeline of \(bytes.count) bytes ends inside a number")
        }
        return value
    }

    private static func fixed(_ bytes: Span<UInt8>, _ position: inout Int, _ byteCount: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<byteCount { value |= UInt64(bytes[position + index]) << (8 * UInt64(index)) }
        position += byteCount
        return value
    }
}
