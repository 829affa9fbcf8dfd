/// A position in a file at which reading can resume.
public struct ReadPosition: Sendable, Equatable, Codable {
    /// Complete lines read so far.
    public var line: Int
    /// Bytes read so far, counted after decompression.
    public var byteOffset: UInt64
    /// Events already returned from the line that begins here; 0 where each line is one event.
    public var eventsOfLine: Int
    /// Events returned so far, if a reader needs to know it; otherwise 0.
    public var events: Int

    /// Makes a position; everything counts from the start of the file.
    public init(line: Int, byteOffset: UInt64, eventsOfLine: Int = 0, events: Int = 0) {
        self.line = line
        self.byteOffset = byteOffset
        self.eventsOfLine = eventsOfLine
        self.events = events
    }

    /// The beginning of a file.
    public static let start = Self(line: 0, byteOffset: 0)

    /// Decodes a position; one saved before lines could hold several events has only the first two numbers.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        line = try fields.decode(Int.self, forKey: .line)
        byteOffset = try fields.decode(UInt64.self, forKey: .byteOffset)
        eventsOfLine = try fields.decodeIfPresent(Int.self, forKey: .eventsOfLine) ?? 0
        events = try fields.decodeIfPresent(Int.self, forKey: .events) ?? 0
    }
}
