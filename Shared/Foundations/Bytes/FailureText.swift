import Foundation

/// Turns errors of the standard library and Foundation into sentences; their own text is made for programmers.
public enum FailureText {
    /// What went wrong: of an error about a file the path and the system's reason, of others what they say.
    public static func sentence(_ error: any Error) -> String {
        guard isForeign(error) else { return "\(error)" }
        if error is DecodingError || error is EncodingError { return reason(error) }
        let details = (error as NSError).userInfo
        let path = details[NSFilePathErrorKey] as? String ?? (details[NSURLErrorKey] as? URL)?.path
        return path.map { "\($0): \(reason(error))" } ?? reason(error)
    }

    /// Why something went wrong, without naming the file or operation.
    public static func reason(_ error: any Error) -> String {
        guard isForeign(error) else { return "\(error)" }
        switch error {
        case DecodingError.dataCorrupted(let context), DecodingError.keyNotFound(_, let context),
            DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
            return words(of: context.codingPath, context.debugDescription)
        case EncodingError.invalidValue(_, let context): return words(of: context.codingPath, context.debugDescription)
        default: break
        }
        let error = error as NSError
        if error.domain == NSPOSIXErrorDomain { return systemReason(error.code) }
        if let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError, cause.domain == NSPOSIXErrorDomain {
            return systemReason(cause.code)
        }
        if let cause = error.userInfo[NSUnderlyingErrorKey] as? POSIXError {
            return systemReason(Int(cause.code.rawValue))
        }
        return error.localizedDescription
    }

    private static func isForeign(_ error: any Error) -> Bool {
        if error is DecodingError || error is EncodingError || error is CocoaError || error is POSIXError {
            return true
        }
        return [NSCocoaErrorDomain, NSPOSIXErrorDomain].contains((error as NSError).domain)
    }

    private static func words(of path: [any CodingKey], _ text: String) -> String {
        let place = path.map { key in key.intValue.map { "[\($0)]" } ?? key.stringValue }.joined(separator: ".")
        return place.isEmpty ? text : "at \(place): \(text)"
    }

    private static func systemReason(_ code: Int) -> String {
        guard let code = Int32(exactly: code) else { return "error \(code)" }
        return POSIXErrorCode(rawValue: code).map { String(describing: POSIXError($0).localizedReason) }
            ?? "error \(code)"
    }
}

extension POSIXError {
    /// The system's words for it.
    fileprivate var localizedReason: String { String(cString: strerror(code.rawValue)) }
}
