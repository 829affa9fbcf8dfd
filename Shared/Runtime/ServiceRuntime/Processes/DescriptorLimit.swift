import Foundation
import Glibc

/// How many descriptors (files, sockets) the process may have open, and how many of them clients may take.
public enum DescriptorLimit {
    /// Fewer do not suffice for a service: its log, its database, its page for metrics, and a few clients.
    static let minimumCount = 256
    /// Fewer do not suffice for any program.
    static let minimumCountOfTool = 48
    /// Enough for any number of connections that can be configured; far more would only slow down programs that loop
    /// over all of them.
    private static let enoughCount: rlim_t = 1 << 20
    /// Descriptors that are kept from clients, beside those open when a server starts: for future connections of the
    /// log and the database, and for clients that are about to be refused or to make room.
    private static let reservedCount = 128

    /// The limit that holds now.
    static var count: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// Raises the soft limit to the hard one, which any process may do.
    static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        let wanted = min(limit.rlim_max, enoughCount)
        guard limit.rlim_cur < wanted else { return }
        limit.rlim_cur = wanted
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Refuses a limit with which a program of this kind could not work.
    static func check(_ kind: Command.Kind) throws(ProcessFailure) {
        let needed = if case .service = kind { minimumCount } else { minimumCountOfTool }
        guard count < needed else { return }
        throw ProcessFailure(
            "the process may have only \(count) files and sockets open, and needs \(needed): raise the limit, "
                + "as with ulimit -n 4096 or LimitNOFILE=4096",
            exitCode: .configuration
        )
    }

    /// How many connections of clients there may be: those that are wanted, or what the limit leaves.
    public static func connectionCount(wanted: Int) -> Int {
        let openCount = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 64
        return min(wanted, max(8, count - openCount - reservedCount - AdminServer.maximumConnectionCount))
    }
}
