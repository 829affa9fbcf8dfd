internal import Bytes
internal import Messages

/// One event as bytes: a reader reuses the same row, so that millions of events cost no memory.
public struct EventRow: Sendable {
    /// The user's id, UTF-8; never empty after a row was read.
    public var user: [UInt8] = []
    /// The item's id, UTF-8; never empty after a row was read.
    public var item: [UInt8] = []
    /// The rating on the data set's own scale; NaN when there is none.
    public var rating: Float = .nan
    /// Milliseconds since 1970.
    public var time: Int64 = 0
    /// The text that the user wrote, UTF-8, if the reader was asked for it; otherwise empty.
    public var text: [UInt8] = []
    /// The type of the event, UTF-8, if a field or a column gives it; otherwise empty.
    public var type: [UInt8] = []

    /// The line of the file that it comes from, counted from 1.
    var line = 0

    /// Makes an empty row.
    public init() {}

    /// Clears the row but keeps its memory.
    mutating func clear() {
        user.removeAll(keepingCapacity: true)
        item.removeAll(keepingCapacity: true)
        text.removeAll(keepingCapacity: true)
        type.removeAll(keepingCapacity: true)
        rating = .nan
        time = 0
    }
}

extension Event {
    /// Makes an event from a row; the given type is used when the row has none.
    ///
    /// - Throws: `DatasetError` when an id or a text is not UTF-8, or is longer than an event allows.
    init(_ row: EventRow, type: String?) throws(DatasetError) {
        func text(_ bytes: [UInt8], _ field: String) throws(DatasetError) -> String {
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw DatasetError(field: field, value: String(decoding: bytes, as: UTF8.self), reason: "is not UTF-8")
            }
            return text
        }
        self.init(
            user: UserID(try text(row.user, "user")),
            item: ItemID(try text(row.item, "item")),
            type: row.type.isEmpty ? type : try text(row.type, "type"),
            rating: row.rating.isNaN ? nil : row.rating,
            text: row.text.isEmpty ? nil : try text(row.text, "text"),
            time: row.time
        )
        do throws(MessageError) {
            try validate()
        } catch {
            throw DatasetError(field: error.field, reason: error.reason)
        }
    }
}
