import Foundation
import TCPProxy

/// The way of the additional processes to the message log, which can be cut without anybody being told.
struct FaultsLink {
    private let proxy: TCPProxy
    /// The log's address by this way.
    let log: String

    /// The way to a broker that has a proxy.
    init?(_ broker: KafkaBroker) {
        guard let proxy = broker.link, let log = broker.linkedAddress else { return nil }
        self.proxy = proxy
        self.log = log
    }

    /// A way to a database that is the log.
    ///
    /// - Throws: `VerificationError` when the address names no socket, `TCPProxy.Failure` when there is no port for the
    ///   proxy.
    init(database address: String) throws {
        guard var parts = URLComponents(string: address),
            let folder = parts.queryItems?.first(where: { $0.name == "host" })?.value
        else { throw VerificationError("the database's address names no folder of a socket") }
        proxy = try TCPProxy(to: .socket(path: "\(folder)/.s.PGSQL.5432"))
        parts.queryItems = nil
        parts.host = "127.0.0.1"
        parts.port = Int(proxy.port)
        guard let text = parts.string else { throw VerificationError("the database's address cannot be changed") }
        log = text
    }

    /// Lets nothing through, either way, until `release`, and closes nothing.
    func hold() { proxy.hold() }

    /// Lets through what was held, and what follows.
    func release() { proxy.release() }

    /// Takes no more connections.
    func close() { proxy.close() }
}
