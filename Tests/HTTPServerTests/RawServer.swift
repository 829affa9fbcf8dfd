import HTTPClient
import Synchronization
import TestSupport

@testable import HTTPServer

/// A server for raw requests, and what its handler saw.
final class RawServer: Sendable {
    private let seenPaths = Mutex<[String]>([])

    /// The paths of requests that came to the handler.
    var paths: [String] { seenPaths.withLock { $0 } }

    /// Runs a server whose handler echoes path and body around a body of raw connections to its port.
    func run(
        _ change: (inout HTTPServerConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        try await withServer(
            change,
            handler: { request in
                self.seenPaths.withLock { $0.append(request.path) }
                return .text("\(request.method) \(request.path) \(request.body.count) bytes")
            }
        ) { _, url in try await body(try port(of: url)) }
    }
}

/// The port in an address of this machine.
func port(of url: String) throws -> Int {
    guard let port = url.split(separator: ":").last.flatMap({ Int($0) }) else {
        throw RawConnection.Failure(description: "\(url) has no port")
    }
    return port
}

/// How many responses a text of a connection holds.
func responseCount(_ text: String) -> Int { text.split(separator: "HTTP/1.1 ", omittingEmptySubsequences: true).count }
