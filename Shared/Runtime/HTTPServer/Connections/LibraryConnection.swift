import CMicrohttpd
import Glibc

/// What the library reports of a connection, on its own thread.
enum LibraryConnection {
    static func descriptor(of connection: OpaquePointer) -> Int32 {
        userllm_mhd_descriptor(connection)
    }

    static func clientAddress(of connection: OpaquePointer) -> IPAddress {
        IPAddress(userllm_mhd_client_address(connection)) ?? .none
    }

    /// The name that the connection was given when it began.
    static func id(of connection: OpaquePointer) -> ConnectionTable.ID {
        ConnectionTable.ID(word: UInt64(UInt(bitPattern: userllm_mhd_socket_context(connection))))
    }

    /// How long the head of the request is, its first line and the empty one included.
    static func headByteCount(of connection: OpaquePointer) -> Int {
        userllm_mhd_head_byte_count(connection)
    }

    /// The address of this machine that the client connected to.
    static func ownAddress(of connection: OpaquePointer) -> IPAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let descriptor = descriptor(of: connection)
        return withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                getsockname(descriptor, address, &length) == 0 ? IPAddress(address) : nil
            }
        }
    }

    /// Writes an answer bypassing the library, which has no memory left for it; its socket always takes a few bytes.
    static func write(_ refusal: RequestRefusal, to connection: OpaquePointer) {
        let response = refusal.response
        guard case .bytes(let body) = response.body else { return }
        var text = "HTTP/1.1 \(refusal.status) Refused\r\nConnection: close\r\nContent-Length: \(body.count)\r\n"
        for (name, value) in response.headers { text += "\(name): \(value)\r\n" }
        let bytes = Array((text + "\r\n").utf8) + body
        _ = send(descriptor(of: connection), bytes, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }
}
