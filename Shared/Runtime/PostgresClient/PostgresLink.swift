import CLibpq
import Foundation

/// One connection to PostgreSQL, used by one thread at a time, which its calls block.
///
/// The parts that wait use libpq's asynchronous calls around our own `poll`, so that every wait has a limit and can be
/// woken. `PostgresConnection` gives tasks access to it; threads of this target use it directly.
package final class PostgresLink {
    /// Array parameters are unpacked in the server's memory, of which a statement takes as much as it needs up to this
    /// limit; with the usual 4 MB a batch of a thousand embeddings would spill to disk.
    private static let workMemory = "64MB"

    package let address: PostgresAddress
    package let settings: PostgresSettings
    private let pipe: WakePipe
    private var connection: OpaquePointer?
    private var statements: [String: String] = [:]

    /// Makes a link that is not connected yet; `pipe` is what wakes its waits.
    package init(_ address: PostgresAddress, _ settings: PostgresSettings, _ pipe: WakePipe) {
        self.address = address
        self.settings = settings
        self.pipe = pipe
    }

    deinit { disconnect() }

    package var isConnected: Bool { connection != nil }

    package func disconnect() {
        if let connection { PQfinish(connection) }
        connection = nil
        statements = [:]
    }

    // MARK: - Connecting

    /// Connects, unless there is a connection.
    package func connect() throws(PostgresError) {
        if let connection {
            if PQstatus(connection) == CONNECTION_OK { return }
            disconnect()
        }
        let started = start([
            ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
            ("tcp_user_timeout", "20000"), ("client_encoding", "UTF8"), ("application_name", settings.applicationName),
            ("dbname", address.text),
        ])
        guard let started else {
            throw PostgresError(code: .none, message: "out of memory", operation: "connecting to \(address)")
        }
        connection = started
        // A refusal's code is only in the message text, and only in the verbose one.
        PQsetErrorVerbosity(started, PQERRORS_VERBOSE)
        PQsetNoticeProcessor(started, { _, _ in }, nil)
        do throws(PostgresError) {
            try finishConnecting(started)
            PQsetErrorVerbosity(started, PQERRORS_DEFAULT)
            guard PQsetnonblocking(started, 1) == 0 else { throw connectionError("connecting to \(address)") }
            try execute(
                """
                SET statement_timeout = \(settings.statementTimeout.milliseconds);
                SET work_mem = '\(Self.workMemory)';
                SET idle_in_transaction_session_timeout = \(settings.idleInTransactionTimeout.milliseconds);
                SET lock_timeout = 0; SET bytea_output = hex; SET extra_float_digits = 1; SET plan_cache_mode = auto;
                """,
                "setting up the connection"
            )
        } catch {
            disconnect()
            throw error
        }
    }

    private func start(_ parameters: [(String, String)]) -> OpaquePointer? {
        let keywords = parameters.map { strdup($0.0) }
        let values = parameters.map { strdup($0.1) }
        defer { for text in keywords + values { free(text) } }
        // The address comes last, so its settings override those before it.
        return PQconnectStartParams(
            keywords.map { UnsafePointer($0) } + [nil],
            values.map { UnsafePointer($0) } + [nil],
            1
        )
    }

    private func finishConnecting(_ connection: OpaquePointer) throws(PostgresError) {
        let operation = "connecting to \(address)"
        let limit = address.connectTimeout ?? settings.connectTimeout
        let deadline = ContinuousClock.now + limit
        var state = PGRES_POLLING_WRITING
        while state != PGRES_POLLING_OK {
            guard state != PGRES_POLLING_FAILED, PQstatus(connection) != CONNECTION_BAD else {
                throw connectionError(operation)
            }
            let events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT
            guard waitForSocket(connection, events, until: deadline) else {
                throw PostgresError(code: .none, message: "no answer within \(limit)", operation: operation)
            }
            state = PQconnectPoll(connection)
        }
    }

    /// Waits until the socket is ready; false at the deadline.
    ///
    /// A wake-up is meant for a wait for notifications, so it is passed on.
    private func waitForSocket(_ connection: OpaquePointer, _ events: Int32, until deadline: ContinuousClock.Instant)
        -> Bool
    {
        var isWoken = false
        defer { if isWoken { pipe.wake() } }
        while true {
            let left = deadline - .now
            guard left > .zero else { return false }
            let wait = pipe.wait(
                socket: PQsocket(connection),
                events: events,
                milliseconds: Int32(clamping: left.milliseconds + 1)
            )
            isWoken = isWoken || wait.isWoken
            if wait.isReady { return true }
        }
    }

    /// libpq's error for the connection, with the code if the server gave one.
    private func connectionError(_ operation: String, isOutcomeUnknown: Bool = false) -> PostgresError {
        let text = connection.map { String(cString: PQerrorMessage($0)) } ?? "there is no connection"
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }
        var code = PostgresError.Code.none
        var words = lines.joined(separator: "; ")
        if let match = words.firstMatch(of: #/: +([0-9][0-9A-Z]{4}|[A-Z][0-9A-Z][0-9][0-9]{2}): /#) {
            code = PostgresError.Code(rawValue: String(match.1))
            words.replaceSubrange(match.range, with: ": ")
        }
        let message = address.redacted(words)
        return PostgresError(code: code, message: message, operation: operation, isOutcomeUnknown: isOutcomeUnknown)
    }

    // MARK: - Statements

    /// Runs a statement with parameters; it is prepared once for each connection.
    package func query(_ sql: String, _ parameters: [PostgresValue], _ operation: String) throws(PostgresError)
        -> PostgresResult
    {
        let name = try prepare(sql, parameters, operation)
        var bytes: [UInt8] = []
        var places: [Int?] = []
        var lengths: [Int32] = []
        for parameter in parameters {
            let start = bytes.count
            places.append(parameter.encode(into: &bytes) ? start : nil)
            lengths.append(Int32(bytes.count - start))
        }
        // A zero-length value needs a pointer that is not null.
        bytes.append(0)
        let formats = [Int32](repeating: 1, count: parameters.count)
        let connection = try current(operation)
        let isSent = bytes.withUnsafeBytes { raw in
            let base = raw.bindMemory(to: CChar.self).baseAddress
            let pointers = places.map { place in place.flatMap { offset in base.map { $0 + offset } } }
            return PQsendQueryPrepared(connection, name, Int32(parameters.count), pointers, lengths, formats, 1) == 1
        }
        guard isSent else { throw broken(operation) }
        return try result(operation)
    }

    /// Runs a text of one or more statements without parameters, in one transaction unless it says otherwise.
    package func execute(_ script: String, _ operation: String) throws(PostgresError) {
        guard PQsendQuery(try current(operation), script) == 1 else { throw broken(operation) }
        _ = try result(operation)
    }

    private func current(_ operation: String) throws(PostgresError) -> OpaquePointer {
        guard let connection else {
            throw PostgresError(code: .none, message: "there is no connection", operation: operation)
        }
        return connection
    }

    private func prepare(
        _ sql: String,
        _ parameters: [PostgresValue],
        _ operation: String
    ) throws(PostgresError) -> String {
        if let name = statements[sql] { return name }
        let name = "s\(statements.count)"
        let types = parameters.map { Oid($0.typeIdentifier) }
        guard PQsendPrepare(try current(operation), name, sql, Int32(types.count), types) == 1 else {
            throw broken(operation)
        }
        do throws(PostgresError) {
            _ = try result(operation)
        } catch {
            // The statement itself was not sent.
            throw PostgresError(code: error.code, message: error.message, operation: operation)
        }
        statements[sql] = name
        return name
    }

    /// Sends what is buffered, waits for the answer, and gives the last result or throws the first error.
    private func result(_ operation: String) throws(PostgresError) -> PostgresResult {
        let connection = try current(operation)
        let deadline = ContinuousClock.now + settings.responseTimeout
        while true {
            let left = PQflush(connection)
            guard left >= 0 else { throw broken(operation) }
            if left == 0 { break }
            guard waitForSocket(connection, POLLIN | POLLOUT, until: deadline) else { throw silent(operation) }
            guard PQconsumeInput(connection) == 1 else { throw broken(operation) }
        }
        var last: PostgresResult?
        var failure: PostgresError?
        // The socket does not show data that TLS has already decrypted, so libpq is also polled periodically.
        let pause: Duration? = PQsslInUse(connection) == 1 ? .milliseconds(50) : nil
        while true {
            while PQisBusy(connection) == 1 {
                let end = pause.map { min(deadline, .now + $0) } ?? deadline
                guard waitForSocket(connection, POLLIN, until: end) || ContinuousClock.now < deadline else {
                    throw silent(operation)
                }
                guard PQconsumeInput(connection) == 1 else { throw broken(operation) }
            }
            guard let raw = PQgetResult(connection) else { break }
            let status = PQresultStatus(raw)
            if status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY {
                last = PostgresResult(raw)
            } else {
                failure = failure ?? error(raw, operation)
                PQclear(raw)
            }
            if PQstatus(connection) == CONNECTION_BAD { break }
        }
        if PQstatus(connection) == CONNECTION_BAD {
            disconnect()
            if failure == nil {
                failure = PostgresError(code: .none, message: "the connection broke", operation: operation)
            }
            failure?.isOutcomeUnknown = true
        }
        // A session stays read-only for its lifetime: only a new one can find the database writable again.
        if failure?.code == .readOnly { disconnect() }
        if let failure { throw failure }
        guard let last else { throw broken(operation) }
        return last
    }

    private func error(_ raw: OpaquePointer, _ operation: String) -> PostgresError {
        func field(_ name: Character) -> String? {
            let code = Int32(name.asciiValue ?? 0)
            return PQresultErrorField(raw, code).map { String(cString: $0) }
        }
        // Neither detail nor context, because they quote the values of rows.
        var message = field("M") ?? String(cString: PQresultErrorMessage(raw))
        if let constraint = field("n") { message += " [\(constraint)]" }
        return PostgresError(
            code: PostgresError.Code(rawValue: field("C") ?? ""),
            message: address.redacted(message),
            operation: operation
        )
    }

    private func broken(_ operation: String) -> PostgresError {
        let error = connectionError(operation, isOutcomeUnknown: true)
        disconnect()
        return error
    }

    private func silent(_ operation: String) -> PostgresError {
        disconnect()
        let message = "no answer within \(settings.responseTimeout)"
        return PostgresError(code: .none, message: message, operation: operation, isOutcomeUnknown: true)
    }

    // MARK: - Notifications

    /// Waits for notifications, a wake-up or the end of the time, and gives the channels that were notified.
    package func notifications(milliseconds: Int32) throws(PostgresError) -> Set<String> {
        let operation = "waiting for notifications"
        let connection = try current(operation)
        var channels = drainNotifications(connection)
        guard channels.isEmpty else { return channels }
        let wait = pipe.wait(socket: PQsocket(connection), events: POLLIN, milliseconds: milliseconds)
        guard wait.isReady else { return [] }
        guard PQconsumeInput(connection) == 1, PQstatus(connection) != CONNECTION_BAD else { throw broken(operation) }
        channels = drainNotifications(connection)
        return channels
    }

    private func drainNotifications(_ connection: OpaquePointer) -> Set<String> {
        var channels: Set<String> = []
        while let notification = PQnotifies(connection) {
            channels.insert(String(cString: notification.pointee.relname))
            PQfreemem(notification)
        }
        return channels
    }
}
