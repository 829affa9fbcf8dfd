/// Reads the JSON of an event as nearly all producers write it, many times as fast as a general decoder.
///
/// Plain is: an object of the known fields, each at most once, without escapes in its texts. Everything else, right or
/// wrong, gives nil and is the general decoder's to read, so there is one place that says what is wrong with an event.
struct PlainEventReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0

    /// What an event without a time gets.
    private let receivedAt: Int64?

    /// The event; nil when the text is not plain.
    static func event(_ bytes: [UInt8], receivedAt: Int64?) -> Event? {
        bytes.withUnsafeBufferPointer { bytes in
            var reader = PlainEventReader(bytes: bytes, receivedAt: receivedAt)
            return reader.event()
        }
    }

    private init(bytes: UnsafeBufferPointer<UInt8>, receivedAt: Int64?) {
        self.bytes = bytes
        self.receivedAt = receivedAt
    }

    private mutating func event() -> Event? {
        var user: String?
        var item: String?
        var id: String?
        var type: String?
        var text: String?
        var rating: Float?
        var time: Int64?
        var categories: [String]?
        skipSpace()
        guard take("{") else { return nil }
        repeat {
            skipSpace()
            guard let name = name() else { return nil }
            skipSpace()
            guard take(":") else { return nil }
            skipSpace()
            let isNew: Bool
            switch name {
            case .user: isNew = fill(&user) { $0.text() }
            case .item: isNew = fill(&item) { $0.text() }
            case .id: isNew = fill(&id) { $0.text() }
            case .type: isNew = fill(&type) { $0.text() }
            case .text: isNew = fill(&text) { $0.text() }
            case .rating: isNew = fill(&rating) { $0.rating() }
            case .time: isNew = fill(&time) { $0.time() }
            case .categories: isNew = fill(&categories) { $0.texts() }
            }
            guard isNew else { return nil }
            skipSpace()
        } while take(",")
        guard take("}") else { return nil }
        skipSpace()
        guard position == bytes.count, let user, let item, let time = time ?? receivedAt else { return nil }
        return Event(
            id: id,
            user: user,
            item: item,
            type: type,
            rating: rating,
            categories: categories ?? [],
            text: text,
            time: time
        )
    }

    /// Reads a field that must not have been read before.
    private mutating func fill<Value>(_ field: inout Value?, _ read: (inout Self) -> Value?) -> Bool {
        guard field == nil, let value = read(&self) else { return false }
        field = value
        return true
    }

    // MARK: - Names

    private enum Name { case user, item, id, type, text, rating, time, categories }

    private mutating func name() -> Name? {
        guard let range = quoted() else { return nil }
        func isName(_ name: StaticString) -> Bool {
            guard name.utf8CodeUnitCount == range.count else { return false }
            let name = UnsafeBufferPointer(start: name.utf8Start, count: range.count)
            return zip(name, bytes[range]).allSatisfy { $0 == $1 }
        }
        // By length first: each is compared with one or two names.
        switch range.count {
        case 4:
            if isName("user") { return .user }
            if isName("item") { return .item }
            if isName("time") { return .time }
            if isName("type") { return .type }
            return isName("text") ? .text : nil
        case 6: return isName("rating") ? .rating : nil
        case 8: return isName("event_id") ? .id : nil
        case 10: return isName("categories") ? .categories : nil
        default: return nil
        }
    }

    // MARK: - Values

    /// Where a text without escapes lies between its quotes.
    private mutating func quoted() -> Range<Int>? {
        guard take("\"") else { return nil }
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                return start..<position - 1
            case UInt8(ascii: "\\"), 0..<0x20: return nil
            default: position += 1
            }
        }
        return nil
    }

    private mutating func text() -> String? {
        quoted().flatMap { String(validating: UnsafeBufferPointer(rebasing: bytes[$0]), as: UTF8.self) }
    }

    private mutating func texts() -> [String]? {
        guard take("[") else { return nil }
        skipSpace()
        if take("]") { return [] }
        var texts: [String] = []
        repeat {
            skipSpace()
            guard let text = text() else { return nil }
            texts.append(text)
            skipSpace()
        } while take(",")
        return take("]") ? texts : nil
    }

    /// Digits without a sign, at most 15 of them, and none before them that is 0.
    private mutating func digits() -> Int64? {
        let start = position
        var value: Int64 = 0
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            value = value &* 10 &+ Int64(bytes[position] &- UInt8(ascii: "0"))
            position += 1
            if position - start > 15 { return nil }
        }
        let count = position - start
        return count == 0 || (count > 1 && bytes[start] == UInt8(ascii: "0")) ? nil : value
    }

    private mutating func time() -> Int64? {
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
            let value = digits()
            return isEndOfNumber ? value : nil
        }
        return text().flatMap { Timestamp.milliseconds($0) }
    }

    /// A number that Float holds exactly, or one with few digits behind a point.
    private mutating func rating() -> Float? {
        let start = position
        guard let whole = digits() else { return nil }
        if isEndOfNumber { return whole <= 1 << 24 ? Float(whole) : nil }
        guard take(".") else { return nil }
        let first = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        guard position > first, position - first < 8, isEndOfNumber else { return nil }
        return Float(String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self))
    }

    /// Whether a number can end here: not before a point or an exponent, nor before anything that is no JSON.
    private var isEndOfNumber: Bool {
        guard position < bytes.count else { return true }
        switch bytes[position] {
        case UInt8(ascii: ","), UInt8(ascii: "}"), 0x20, 0x0A, 0x0D, 0x09: return true
        default: return false
        }
    }

    // MARK: - Characters

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }
}
