import CMicrohttpd
import Glibc

/// Why a server could not start.
public struct HTTPServerError: Error, Sendable, CustomStringConvertible {
    /// What failed, on what, and why.
    public let description: String
    /// Whether somebody else has the port.
    public let isPortTaken: Bool

    init(_ description: String, isPortTaken: Bool = false) {
        self.description = description
        self.isPortTaken = isPortTaken
    }
}

/// Opens the socket on which a server listens.
enum ListeningSocket {
    /// Opens it.
    ///
    /// - Returns: the descriptor, which the caller owns, and the port, which is the kernel's choice for port 0.
    static func open(host: String, port: Int) throws(HTTPServerError) -> (descriptor: Int32, port: Int) {
        let socket: BoundSocket
        do throws(BoundSocket.Failure) {
            socket = try BoundSocket(host: host, port: port)
        } catch {
            switch error {
            case .unknownHost(let reason):
                throw HTTPServerError("the host \(host) is not an address of this machine: \(reason)")
            case .noDescriptor(let code): throw HTTPServerError("no socket: \(String(cString: strerror(code)))")
            case .notBound(let code): throw failure(host, port, code)
            }
        }
        guard listen(socket.descriptor, 1_024) == 0, fcntl(socket.descriptor, F_SETFL, O_NONBLOCK) == 0 else {
            let code = errno
            close(socket.descriptor)
            throw failure(host, port, code)
        }
        return (socket.descriptor, socket.port)
    }

    private static func failure(_ host: String, _ port: Int, _ code: Int32) -> HTTPServerError {
        let isPortTaken = code == EADDRINUSE
        let reason = isPortTaken ? "another process has this port" : String(cString: strerror(code))
        return HTTPServerError("cannot listen on \(host) port \(port): \(reason)", isPortTaken: isPortTaken)
    }
}
