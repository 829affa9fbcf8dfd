import Bytes
import LogAddresses
import Messages
import RandomNumbers
import ServiceRuntime
import Flows
import MessageLogs

/// A producer of events that is not ours, and writes them as it is used to.
enum ForeignProducer: String, Sendable, CaseIterable {
    /// As clients on librdkafka do unless they are told otherwise.
    case crc32
    /// As Java's clients and ours do.
    case murmur2
    /// Without a key, anywhere.
    case keyless
    /// JSON, of which no header tells, partitioned by CRC32: as kcat does.
    case plainJSON

    /// The record of an event.
    func record(_ event: Event, partitionCount: Int32, _ random: inout SeededRandom) throws -> OutgoingRecord {
        let key = Array(event.user.utf8)
        var record = OutgoingRecord(topic: Topic.userEvents.rawValue, key: key, value: nil)
        switch self {
        case .crc32, .plainJSON: record.partition = Int32(CRC32.checksum(of: key) % UInt32(partitionCount))
        case .murmur2: break
        case .keyless:
            record.key = nil
            record.partition = Int32(random.below(Int(partitionCount)))
        }
        record.value = self == .plainJSON ? try event.encodedJSON() : try event.encoded()
        return record
    }
}

/// The checksum by which librdkafka's partitioner `consistent_random` chooses a key's partition.
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }

    /// The checksum as zlib, Ethernet and librdkafka have it.
    static func checksum(of bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }
}

extension FaultsLoad {
    /// Lets a producer write events of all users to the log, and waits for each piece until it is acknowledged.
    ///
    /// They are of users whom others write events of too, but of none who may be forgotten: a deletion takes with it what the
    /// timelines know of records that were sent on, so that one which comes again could count again.
    func produce(_ producer: ForeignProducer, until shutdown: Shutdown) async throws {
        let number = UInt64(ForeignProducer.allCases.firstIndex(of: producer) ?? 0)
        var random = SeededRandom(seed: SeededRandom.mix(options.seed, number, 31))
        let users = (0..<options.users).map { UserID("v\($0)") }.filter { !Self.isForgettable($0) }
        var count = 0
        var due = ContinuousClock.now
        let connection = Connection(address: log)
        while !shutdown.isRequested {
            let events = (0..<(1 + random.below(6))).map { _ in
                count += 1
                return event(users[random.below(users.count)], id: "\(producer)-\(count)", &random)
            }
            await ledger.sends(events.map { ($0.id ?? "", $0.user) })
            try await write(events, by: producer, to: connection, shutdown, &random)
            await ledger.acknowledges(events.compactMap(\.id))
            due = max(due, .now - .seconds(5)) + .seconds(Double(events.count) / options.producerRate)
            try await shutdown.wait(atMost: due - .now)
        }
        await connection.close()
    }

    private func write(
        _ events: [Event],
        by producer: ForeignProducer,
        to connection: Connection,
        _ shutdown: Shutdown,
        _ random: inout SeededRandom
    ) async throws {
        var end: ContinuousClock.Instant?
        while true {
            do {
                let count = try await connection.partitionCount()
                let records = try events.map { try producer.record($0, partitionCount: count, &random) }
                return try await connection.append(records)
            } catch {
                await connection.close()
                await ledger.repeats()
                if shutdown.isRequested { end = end ?? .now + Self.patience }
                if let end, ContinuousClock.now > end {
                    throw VerificationError(
                        "the log did not take events for \(Self.patience) after the last fault: \(error)"
                    )
                }
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// A log that is opened again after each failure.
    private actor Connection {
        private let address: String
        private var log: (any MessageLog)?

        init(address: String) {
            self.address = address
        }

        func partitionCount() async throws -> Int32 {
            guard let count = try await open().partitionCount(of: Topic.userEvents.rawValue) else {
                throw StreamError.unknownTopic(Topic.userEvents.rawValue)
            }
            return count
        }

        func append(_ records: [OutgoingRecord]) async throws { try await open().append(records) }

        func close() async {
            let last = log.take()
            await last?.close()
        }

        private func open() async throws -> any MessageLog {
            if let log { return log }
            let new = try await openLog(address)
            log = new
            return new
        }
    }
}
