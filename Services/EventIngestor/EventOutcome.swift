import HTTPServer
import JSON
import Messages

/// Which events of a request are valid, and what is wrong with the others.
struct EventOutcome {
    /// After this many refused events the rest of a request is not read: it is not a body of events.
    static let maximumRejectedCount = 1_000

    /// How many events the log has made durable.
    var acceptedCount = 0
    /// Fields that events do not have.
    var unknown: UnknownFields
    private var errors: [Refusal] = []
    private var tooLargeCount = 0
    private var stop: EventBody.Place??

    /// Starts without events.
    ///
    /// - Parameter isStrict: whether an event with an unknown field is refused; otherwise such fields are reported.
    init(isStrict: Bool) {
        unknown = UnknownFields(isStrict ? .refused : .listed)
    }

    /// Whether the limit of refused events is reached.
    var isFull: Bool { errors.count >= Self.maximumRejectedCount }
    /// Whether the rest of the request is not read.
    var isStopped: Bool { stop != nil }

    /// Records what is wrong with an event.
    mutating func reject(_ error: MessageError, at place: EventBody.Place?, isTooLarge: Bool) {
        if isTooLarge { tooLargeCount += 1 }
        errors.append(Refusal(place, field: error.field, message: error.description))
    }

    /// Leaves the rest of the request unread.
    mutating func stop(after place: EventBody.Place?) { stop = .some(place) }

    /// 202 if all events were accepted; 400 if some were invalid, 413 if they were only too large; always with the
    /// counts.
    var response: HTTPResponse {
        let ignored = unknown.names
        let reply = Reply(
            accepted: acceptedCount,
            rejected: errors.count,
            ignored: ignored.isEmpty ? nil : ignored,
            moreIgnored: unknown.hasMore && !ignored.isEmpty ? true : nil,
            stoppedAfter: (stop ?? nil).map { PlaceReply($0) },
            error: summary,
            errors: errors.isEmpty ? nil : errors
        )
        return .json(of: reply, status: errors.isEmpty ? 202 : tooLargeCount == errors.count ? 413 : 400)
    }

    /// The one error, or how many there are; nil when there is none.
    private var summary: Refusal? {
        if errors.count <= 1 { return errors.first }
        let others = acceptedCount == 0 ? "" : ", the others taken"
        var text = "\(errors.count) of \(errors.count + acceptedCount) events were refused\(others)"
        if case .some(let place) = stop {
            text += "; that is too many, so nothing after \(place.map(Self.text) ?? "them") was read or taken"
        }
        return Refusal(nil, field: nil, message: text)
    }

    private static func text(_ place: EventBody.Place) -> String {
        switch place {
        case .line(let line): "line \(line)"
        case .index(let index): "the event at index \(index)"
        }
    }
}

// MARK: - The reply

/// The reply to a request of events; fields that do not apply are omitted.
private struct Reply: Encodable {
    enum CodingKeys: String, CodingKey {
        case accepted, rejected, ignored
        case moreIgnored = "more_ignored"
        case stoppedAfter = "stopped_after"
        case error, errors
    }

    let accepted: Int
    let rejected: Int
    let ignored: [String]?
    let moreIgnored: Bool?
    let stoppedAfter: PlaceReply?
    let error: Refusal?
    let errors: [Refusal]?
}

/// The position of an event: one of the two.
private struct PlaceReply: Encodable {
    var line: Int?
    var index: Int?

    init(_ place: EventBody.Place) {
        switch place {
        case .line(let number): line = number
        case .index(let number): index = number
        }
    }
}

/// What is wrong with an event, in addition to its position.
private struct Refusal: Encodable {
    enum CodingKeys: String, CodingKey {
        case field, message
    }

    private let place: PlaceReply?
    private let field: String?
    private let message: String

    init(_ place: EventBody.Place?, field: String?, message: String) {
        self.place = place.map { PlaceReply($0) }
        self.field = field
        self.message = message
    }

    func encode(to encoder: any Encoder) throws {
        // Both write into one object.
        try place?.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(field, forKey: .field)
        try container.encode(message, forKey: .message)
    }
}
