import Foundation
import HTTPClient
import LogAddresses
import Messages
import EmbeddingStore
import Flows
import MessageLogs

/// What a running system looks like from outside.
struct StatusReport: Encodable, Sendable {
    /// A process and its state; one object in JSON, with what the launcher recorded of it.
    @dynamicMemberLookup
    struct Process: Encodable, Sendable {
        /// What the launcher recorded.
        var recorded: SystemState.Process
        var isAlive: Bool
        /// Why it is not ready; nil if it is.
        var notReady: String?
        /// Its report of its own work; nil for processes that share no partitions or do not answer.
        var work: WorkReport?

        private enum CodingKeys: CodingKey { case isAlive, notReady, work }

        subscript<Value>(dynamicMember member: KeyPath<SystemState.Process, Value>) -> Value {
            recorded[keyPath: member]
        }

        func encode(to encoder: any Encoder) throws {
            try recorded.encode(to: encoder)
            var fields = encoder.container(keyedBy: CodingKeys.self)
            try fields.encode(isAlive, forKey: .isAlive)
            try fields.encodeIfPresent(notReady, forKey: .notReady)
            try fields.encodeIfPresent(work, forKey: .work)
        }
    }

    /// How many records a group still has to read; questions waiting in a responder count as read.
    struct Lag: Codable, Sendable {
        var group: String
        var topic: String
        var records: Int64
    }

    /// Rows of one model version.
    struct Rows: Codable, Sendable {
        var modelVersion: String
        var count: Int
    }

    var isUp: Bool
    var modelVersion: String
    var gateways: [String]
    var ingestors: [String]
    var processes: [Process]
    var lags: [Lag]
    var rows: [Rows]
    /// Time from event to row, over all rows written since the writers started; nil before the first.
    var freshness: MetricsPage.Quantiles?
    /// Why lag or rows are missing.
    var problems: [String]

    /// Queries everything that is running.
    static func gather(_ state: SystemState) async -> StatusReport {
        let client = HTTPClient()
        var processes: [Process] = []
        var pages: [MetricsPage] = []
        for process in state.processes {
            let isAlive = process.isRunning
            var reason: String?
            var work: WorkReport?
            if let port = process.adminPort {
                reason = isAlive ? await Readiness.reason(adminPort: port, client) : "does not run"
                if isAlive, let kind = ServiceKind(rawValue: process.name), kind.sharedTopic != nil,
                    let page = await MetricsPage(port, client)
                {
                    work = WorkReport(of: kind, in: page)
                    pages.append(page)
                }
            } else if !isAlive {
                reason = "does not run"
            }
            processes.append(Process(recorded: process, isAlive: isAlive, notReady: reason, work: work))
        }
        var report = StatusReport(
            isUp: state.isUp,
            modelVersion: state.modelVersion,
            gateways: state.gateways,
            ingestors: state.ingestors,
            processes: processes,
            lags: [],
            rows: [],
            freshness: MetricsPage.quantiles(of: "userllm_embedding_writer_event_to_row_seconds", in: pages),
            problems: []
        )
        // Questions that wait in the responders' memory, and those after them, are not committed but have been read.
        let ahead = pages.compactMap { $0.value(of: "userllm_llm_responder_questions_read_ahead") }.reduce(0, +)
        await report.addLags(state, questionsReadAhead: Int64(exactly: ahead.rounded()) ?? 0)
        await report.addRows(state)
        return report
    }

    private mutating func addLags(_ state: SystemState, questionsReadAhead: Int64) async {
        let groups: [(String, Topic)] = [
            (ConsumerGroup.encoderWorker, .userEvents), (ConsumerGroup.embeddingWriter, .userEmbeddings),
            (ConsumerGroup.llmResponder, .questions),
        ]
        do {
            let log = try await openLog(state.log)
            for (group, topic) in groups {
                do {
                    let records = try await log.lag(group: group, topic: topic.rawValue)
                    let ahead = topic == .questions ? questionsReadAhead : 0
                    lags.append(Lag(group: group, topic: topic.rawValue, records: max(0, records - ahead)))
                } catch {
                    problems.append("lag of \(group): \(error)")
                }
            }
            await log.close()
        } catch {
            problems.append("the message log: \(error)")
        }
    }

    private mutating func addRows(_ state: SystemState) async {
        do {
            let table = try await EmbeddingTable(database: state.database)
            do {
                rows = try await table.modelVersions().map { Rows(modelVersion: $0.version, count: $0.rows) }
            } catch {
                problems.append("rows: \(error)")
            }
            await table.close()
        } catch {
            problems.append("the database: \(error)")
        }
    }
}
