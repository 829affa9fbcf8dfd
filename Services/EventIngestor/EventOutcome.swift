import HTTPServer
import JSON
import Messages

/// Which events of a request are good, and what is wrong with the others.
struct EventOutcome {
    /// So many events are refused before the rest of a request is not read: it is not a body of events.
    static let maximumRejectedCount = 1_000

    /// How many the log has made durable.
    var acceptedCount = 0
    /// Fields that events do not have.
    var unknown: UnknownFields
    private var errors: [String] = []
    private var tooLargeCount = 0
    private var stop: EventBody.Place??

    /// Begins without any.
    ///
    /// - Parameter isStrict: whether an event with a field that is not known is refused; else such fields are told.
    init(isStrict: Bool) {
        unknown = UnknownFields(isStrict ? .refused : .listed)
    }

    /// Whether no more may be refused.
    var isFull: Bool { errors.count >= Self.maximumRejectedCount }
    /// Whether the rest of the request is not read.
    var isStopped: Bool { stop != nil }

    /// Remembers what is wrong with an event.
    mutating func reject(_ error: MessageError, at place: EventBody.Place?, isTooLarge: Bool) {
        if isTooLarge { tooLargeCount += 1 }
        var json = "{" + (place.map { "\(Self.json($0))," } ?? "")
        if let field = error.field { json += "\"field\":\(JSONText.quoted(field))," }
        errors.append(json + "\"message\":\(JSONText.quoted(error.description))}")
    }

    /// Leaves the rest of the request unread.
    mutating func stop(after place: EventBody.Place?) { stop = .some(place) }

    /// 202 when all were good; 400 when some were not, 413 when they were only too large; always with the counts.
    var response: HTTPResponse {
        var json = "{\"accepted\":\(acceptedCount),\"rejected\":\(errors.count)"
        let names = unknown.names
        if !names.isEmpty {
            json += ",\"ignored\":[\(names.map(JSONText.quoted).joined(separator: ","))]"
            if unknown.hasMore { json += ",\"more_ignored\":true" }
        }
        if case .some(.some(let place)) = stop { json += ",\"stopped_after\":{\(Self.json(place))}" }
        if !errors.isEmpty { json += ",\"error\":\(summary),\"errors\":[\(errors.joined(separator: ","))]" }
        let status = errors.isEmpty ? 202 : tooLargeCount == errors.count ? 413 : 400
        return .json(Array((json + "}\n").utf8), status: status)
    }

    /// The one error, or how many there are.
    private var summary: String {
        if errors.count == 1, let error = errors.first { return error }
        let others = acceptedCount == 0 ? "" : ", the others taken"
        var text = "\(errors.count) of \(errors.count + acceptedCount) events were refused\(others)"
        if case .some(let place) = stop {
            text += "; that is too many, so nothing after \(place.map(Self.text) ?? "them") was read or taken"
        }
        return "{\"message\":\(JSONText.quoted(text))}"
    }

    private static func json(_ place: EventBody.Place) -> String {
        switch place {
        case .line(let line): "\"line\":\(line)"
        case .index(let index): "\"index\":\(index)"
        }
    }

    private static func text(_ place: EventBody.Place) -> String {
        switch place {
        case .line(let line): "line \(line)"
        case .index(let index): "the event at index \(index)"
        }
    }
}
