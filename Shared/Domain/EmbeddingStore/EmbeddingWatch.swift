public import PostgresClient
import Concurrency
public import Bytes

/// Reports changes of rows of `user_embeddings` to callers that wait for a user's row to include more events.
///
/// It waits on a thread and a connection of its own, so that no reader of a row waits for it.
public actor EmbeddingWatch {
    /// The advisory lock that is held in shared mode while somebody waits.
    static let lock: Int64 = 0x5553_4C4C_0005
    /// The channel on which a transaction that wrote rows is announced while the lock is held.
    static let channel = "userllm_embeddings"

    private let executor = BlockingExecutor(label: "userllm.embedding-watch")
    private let pipe: WakePipe
    private let link: PostgresLink
    /// Whether the current connection listens for changes.
    private var isListening = false
    /// Whether a change may have been missed.
    private var mayHaveMissed = true

    /// The thread that waits.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Makes a watch that connects at its first use.
    ///
    /// - Parameters:
    ///   - database: a `postgresql://` URL or a `key=value` text.
    ///   - settings: time limits and the name the server shows.
    /// - Throws: `PostgresError` when the address cannot be read.
    public init(database: String, settings: PostgresSettings = PostgresSettings()) throws(PostgresError) {
        guard let pipe = WakePipe() else { throw PostgresError.noDescriptors }
        self.pipe = pipe
        link = PostgresLink(try PostgresAddress(database), settings, pipe)
    }

    /// Ends a wait in `change`, now or the next time.
    public nonisolated func wake() { pipe.wake() }

    /// Waits until rows may have changed, for a `wake`, or for the time.
    ///
    /// - Returns: whether rows may have changed; true also when listening begins only now.
    /// - Throws: `PostgresError`; the same call may be tried again.
    public func change(atMost limit: Duration) throws(PostgresError) -> Bool {
        try listen()
        if mayHaveMissed {
            mayHaveMissed = false
            return true
        }
        return try !link.notifications(milliseconds: Int32(clamping: max(0, limit.milliseconds))).isEmpty
    }

    /// How many events the rows of some users include.
    ///
    /// - Parameters:
    ///   - users: the users' ids.
    ///   - modelVersion: the version of the model bundle that reads the rows.
    /// - Returns: for each of the users that has a row, its event count.
    /// - Throws: `PostgresError`; the same call may be tried again.
    public func eventCounts(
        of users: [UserID],
        modelVersion: String
    ) throws(PostgresError) -> [(user: UserID, eventCount: UInt64)] {
        try listen()
        let rows = try link.query(
            "SELECT user_id, event_count FROM public.user_embeddings WHERE user_id = ANY ($1) AND model_version = $2",
            [.texts(users.map(\.text)), .text(modelVersion)],
            "looking whether the rows of \(users.count) users know enough events"
        )
        return (0..<rows.count).map { (UserID(rows.text($0, 0)), UInt64(clamping: rows.int8($0, 1))) }
    }

    /// Closes the connection, and with it ends the cost to writers of being watched; the next call opens it again.
    public func rest() {
        isListening = false
        link.disconnect()
    }

    /// Starts listening for changes.
    private func listen() throws(PostgresError) {
        if isListening, link.isConnected { return }
        (isListening, mayHaveMissed) = (false, true)
        try link.connect()
        // Waits for writers that did not see the lock; what they wrote can be read then.
        _ = try link.query("SELECT pg_advisory_lock_shared($1)", [.int8(Self.lock)], "watching the embeddings")
        try link.execute("LISTEN \(Self.channel)", "watching the embeddings")
        isListening = true
    }
}
