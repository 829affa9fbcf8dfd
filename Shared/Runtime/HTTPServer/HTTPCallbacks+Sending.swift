import CMicrohttpd

extension HTTPCallbacks {
    /// Gives the library a response to send.
    static func queue(
        _ response: HTTPResponse,
        _ writer: HTTPStreamWriter?,
        _ connection: OpaquePointer,
        closing: Bool
    ) -> MHD_Result {
        guard let made = make(response, writer, connection) else { return .NO }
        defer { MHD_destroy_response(made) }
        for (name, value) in response.headers { MHD_add_response_header(made, name, value) }
        if closing { MHD_add_response_header(made, "Connection", "close") }
        return MHD_queue_response(connection, UInt32(response.status), made)
    }

    private static func make(
        _ response: HTTPResponse,
        _ writer: HTTPStreamWriter?,
        _ connection: OpaquePointer
    ) -> OpaquePointer? {
        if case .bytes(let bytes) = response.body {
            // The library copies, so the bytes need not be mutable.
            return bytes.withUnsafeBytes { bytes in
                MHD_create_response_from_buffer(
                    bytes.count,
                    UnsafeMutableRawPointer(mutating: bytes.baseAddress),
                    .RESPMEM_MUST_COPY
                )
            }
        }
        guard let writer else { return nil }
        let source = StreamSource(writer: writer, connection: connection)
        return MHD_create_response_from_callback(
            UInt64.max,
            32 << 10,
            { context, _, target, count in
                guard let context, let target else { return -1 }
                let source = Unmanaged<StreamSource>.fromOpaque(context).takeUnretainedValue()
                let buffer = UnsafeMutableRawBufferPointer(start: target, count: count)
                return source.writer.read(HTTPStreamRead(target: buffer, connection: source.connection))
            },
            Unmanaged.passRetained(source).toOpaque(),
            { context in
                guard let context else { return }
                Unmanaged<StreamSource>.fromOpaque(context).release()
            }
        )
    }

    /// What the library's reader needs; owned by the library's response.
    private final class StreamSource {
        let writer: HTTPStreamWriter
        let connection: OpaquePointer

        init(writer: HTTPStreamWriter, connection: OpaquePointer) {
            self.writer = writer
            self.connection = connection
        }
    }
}
