import Glibc
import HTTPServer

/// A TCP port that is taken from the moment it is chosen, for a process that is started later.
///
/// The port is bound here and not listened on. Meanwhile the kernel gives it to nobody who asks for an arbitrary port,
/// neither for listening nor for a connection. But a process that names it, and binds it with `SO_REUSEADDR` as servers
/// do, can listen on it: now, and again after it died. Without that, a port that is chosen first and opened later may
/// be in use by then.
///
/// A caller that runs a process only once and can wait for its report needs no claim: services accept port 0 and write
/// the port they got into the file that `--port-file` and `--admin-port-file` name.
public final class PortClaim: Sendable {
    /// The port.
    public let port: Int
    private let socket: BoundSocket

    /// Claims a port.
    ///
    /// - Parameters:
    ///   - port: the port; 0 is any that is free.
    ///   - host: the address on which will be listened, such as `127.0.0.1` or `0.0.0.0`.
    /// - Throws: `ProcessFailure` when somebody listens there, or the host is no address of this machine.
    public init(_ port: Int = 0, host: String = "127.0.0.1") throws(ProcessFailure) {
        do throws(BoundSocket.Failure) {
            socket = try BoundSocket(host: host, port: port)
        } catch {
            switch error {
            case .unknownHost(let reason):
                throw ProcessFailure("\(host) is not an address of this machine: \(reason)", exitCode: .configuration)
            case .noDescriptor(let code), .notBound(let code): throw Self.failure(port, host, code)
            }
        }
        self.port = socket.port
    }

    deinit { Glibc.close(socket.descriptor) }

    private static func failure(_ port: Int, _ host: String, _ reason: Int32) -> ProcessFailure {
        let what = port == 0 ? "no port of \(host) is to be had" : "port \(port) of \(host) cannot be used"
        let why = reason == EADDRINUSE ? "another process has it" : String(cString: strerror(reason))
        return ProcessFailure("\(what): \(why)", exitCode: .unavailable)
    }
}
