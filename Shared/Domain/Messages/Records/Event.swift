public import Bytes

/// Something a user did with an item.
///
/// Topic `user-events`; key: the user's id; order: arrival, within a user. Written by the event ingestor or any Kafka
/// producer, read by the encoder worker.
public struct Event: Sendable, Equatable {
    /// The client's own id of this event, if it gives one.
    public var id: String?
    /// Who did it; never empty.
    public var user: UserID
    /// What it was done with; never empty.
    ///
    /// An item the model has not seen is encoded from `categories`.
    public var item: ItemID
    /// What was done, such as `rating` or `view`.
    public var type: String?
    /// The user's rating of the item, on the data set's own scale.
    public var rating: Float?
    /// The item's categories; empty means: as the catalogue says.
    public var categories: [String]
    /// What the user wrote.
    public var text: String?
    /// When it happened, in milliseconds since 1970.
    public var time: Int64

    /// Makes an event.
    public init(
        id: String? = nil,
        user: UserID,
        item: ItemID,
        type: String? = nil,
        rating: Float? = nil,
        categories: [String] = [],
        text: String? = nil,
        time: Int64
    ) {
        self.id = id
        self.user = user
        self.item = item
        self.type = type
        self.rating = rating
        self.categories = categories
        self.text = text
        self.time = time
    }
}
