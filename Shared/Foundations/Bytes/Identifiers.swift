/// A user's id, as the producer of the user's events chose it.
public struct UserID: ByteText {
    /// The id's text.
    public let text: String

    /// Takes an id as it is.
    @inlinable
    public init(_ text: String) { self.text = text }
}

/// An item's id.
public struct ItemID: ByteText {
    /// The id's text.
    public let text: String

    /// Takes an id as it is.
    @inlinable
    public init(_ text: String) { self.text = text }
}

/// A question's id; two users may have chosen the same.
public struct QuestionID: ByteText {
    /// The id's text.
    public let text: String

    /// Takes an id as it is.
    @inlinable
    public init(_ text: String) { self.text = text }
}

/// Any other text from outside that serves as a key: a category, a title, a token, the name of a field.
public struct TextKey: ByteText {
    /// The text.
    public let text: String

    /// Takes a text as it is.
    @inlinable
    public init(_ text: String) { self.text = text }
}
