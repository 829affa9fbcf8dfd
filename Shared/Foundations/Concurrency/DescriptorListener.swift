import Dispatch
import Glibc

/// Reports when a descriptor is readable, without a thread that waits for it.
///
/// `@unchecked`: a Dispatch source may be used from any thread, but its Swift type does not say so.
public final class DescriptorListener: @unchecked Sendable {
    private let source: any DispatchSourceRead

    /// Starts to listen, and owns the descriptor from then on.
    ///
    /// - Parameters:
    ///   - descriptor: closed when the listener is.
    ///   - label: the name that its queue shows in a debugger.
    ///   - onReady: called again and again as long as there is something to read, on a thread of Dispatch.
    public init(_ descriptor: Int32, label: String, onReady: @escaping @Sendable (Int32) -> Void) {
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: DispatchQueue(label: label))
        source.setEventHandler { onReady(descriptor) }
        source.setCancelHandler { Glibc.close(descriptor) }
        source.activate()
    }

    /// Stops listening.
    public func close() {
        source.cancel()
    }
}
