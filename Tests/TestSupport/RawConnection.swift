import Concurrency
import Glibc

/// A TCP connection that sends exactly what a test wrote, right or wrong.
///
/// Its calls block a thread of its own, not those of the tests. `@unchecked`: a descriptor may be used from any thread.
public final class RawConnection: @unchecked Sendable {
    /// Why something on a connection failed.
    public struct Failure: Error, CustomStringConvertible {
        /// What failed, and why.
        public let description: String

        /// Says what failed.
        public init(description: String) { self.description = description }
    }

    private actor Caller {
        private let executor = BlockingExecutor(label: "raw-connection")
        nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

        func call<Value: Sendable>(_ body: @Sendable () -> Value) -> Value { body() }
    }

    private let caller = Caller()
    private let descriptor: Int32
    private var isOpen = true

    /// Connects.
    ///
    /// - Parameters:
    ///   - port: the port.
    ///   - host: the address to connect to.
    ///   - source: the address to connect from; every one of 127.0.0.0/8 is this machine's.
    /// - Throws: `Failure` with the call that failed.
    public init(port: Int, host: String = "127.0.0.1", from source: String = "127.0.0.1") throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failure("socket") }
        // Ends a test that hangs.
        var limit = timeval(tv_sec: 300, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard Self.withAddress(source, 0, { bind(descriptor, $0, $1) }) == 0 else { throw Self.failure("bind") }
        guard Self.withAddress(host, port, { connect(descriptor, $0, $1) }) == 0 else { throw Self.failure("connect") }
    }

    deinit { close() }

    /// Sends a text, and reads until the server closes the connection.
    public static func exchange(_ text: String, port: Int, from source: String = "127.0.0.1") async throws -> String {
        let connection = try RawConnection(port: port, from: source)
        try await connection.send(text)
        return try await connection.readToEnd()
    }

    /// Sends a text; what the server does not take any more is left out.
    public func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    /// Sends bytes; what the server does not take any more is left out.
    public func send(_ bytes: [UInt8]) async throws {
        await blocking { descriptor in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Reads until the server closes the connection.
    public func readToEnd() async throws -> String { try await read { _ in false } }

    /// Reads until a text has come, or the server closes the connection.
    public func read(until text: String) async throws -> String { try await read { $0.contains(text) } }

    private func read(until isEnough: @escaping @Sendable (String) -> Bool) async throws -> String {
        try await blocking { (descriptor: Int32) -> Result<String, Failure> in
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 16 << 10)
            while !isEnough(String(decoding: bytes, as: UTF8.self)) {
                let count = recv(descriptor, &buffer, buffer.count, 0)
                if count > 0 {
                    bytes += buffer[..<count]
                } else if count == 0 || errno == ECONNRESET {
                    break
                } else if errno != EINTR {
                    return .failure(Self.failure("recv after \(bytes.count) bytes"))
                }
            }
            return .success(String(decoding: bytes, as: UTF8.self))
        }.get()
    }

    /// Says that nothing more will be sent, and still reads.
    public func shutdownSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes it as a program does that ends.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        Glibc.close(descriptor)
    }

    /// Closes it with a reset.
    public func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    private func blocking<Value: Sendable>(_ body: @escaping @Sendable (Int32) -> Value) async -> Value {
        let descriptor = descriptor
        return await caller.call { body(descriptor) }
    }

    private static func failure(_ call: String) -> Failure {
        Failure(description: "\(call): \(String(cString: strerror(errno)))")
    }

    private static func withAddress(
        _ host: String,
        _ port: Int,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(clamping: port)).bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return -1 }
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

extension String {
    /// The status of the first response in what came on a connection.
    public var httpStatus: Int? { split(separator: " ").dropFirst().first.flatMap { Int($0) } }
}
