import Bytes

/// What answers a request.
public typealias HTTPHandler = @Sendable (HTTPRequest) async -> HTTPResponse

/// Finds the handler of a method and path.
///
/// A pattern's parts are compared one by one; `{name}` takes any part that is not empty, decoded.
public struct HTTPRouter: Sendable {
    private struct Route: Sendable {
        let method: String
        let parts: [Part]
        let handler: HTTPHandler
    }

    private enum Part: Sendable {
        case literal(Substring)
        case parameter(String)
    }

    private var routes: [Route] = []

    /// Makes a router without routes.
    public init() {}

    /// Adds a route, such as `GET /v1/answers/{id}`.
    public mutating func on(_ method: String, _ pattern: String, _ handler: @escaping HTTPHandler) {
        let parts = Self.parts(of: pattern).map { part in
            part.hasPrefix("{") ? Part.parameter(String(part.dropFirst().dropLast())) : .literal(part)
        }
        routes.append(Route(method: method, parts: parts, handler: handler))
    }

    /// Answers a request: 404 when no path fits, 405 when one does but not its method.
    public func respond(to request: HTTPRequest) async -> HTTPResponse {
        let parts = Self.parts(of: request.path)
        var allowed: [String] = []
        for route in routes {
            guard let parameters = Self.match(parts, route.parts) else { continue }
            // A HEAD is handled like its GET; the library leaves the body out.
            guard route.method == request.method || (route.method == "GET" && request.method == "HEAD") else {
                allowed.append(route.method)
                continue
            }
            guard let parameters = Self.decoded(parameters) else {
                return .error(
                    400,
                    "the path \(Self.shown(request.path)) is not valid: % must be followed by two hexadecimal digits "
                        + "and the text must be UTF-8",
                    field: "path"
                )
            }
            var request = request
            request.pathParameters = parameters
            return await route.handler(request)
        }
        guard allowed.isEmpty else {
            let list = allowed.joined(separator: ", ")
            return .error(
                405,
                "\(request.method) is not possible on \(Self.shown(request.path)): use \(list)",
                headers: [("Allow", list)]
            )
        }
        return .error(404, "there is nothing at \(Self.shown(request.path))")
    }

    private static func shown(_ path: String) -> String {
        path.utf8.count > 200 ? "\(path.prefix(200))..." : path
    }

    private static func parts(of path: String) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map { $0 }
    }

    private static func match(_ parts: [Substring], _ pattern: [Part]) -> [String: Substring]? {
        guard parts.count == pattern.count else { return nil }
        var parameters: [String: Substring] = [:]
        for (part, expected) in zip(parts, pattern) {
            switch expected {
            case .literal(let literal): if part != literal { return nil }
            case .parameter(let name):
                if part.isEmpty { return nil }
                parameters[name] = part
            }
        }
        return parameters
    }

    private static func decoded(_ parameters: [String: Substring]) -> [String: String]? {
        var decoded: [String: String] = [:]
        for (name, value) in parameters {
            guard let text = PercentEncoding.decode(value.utf8) else { return nil }
            decoded[name] = text
        }
        return decoded
    }
}
