import Foundation
import HTTPClient
import ServiceRuntime

/// Asks processes whether they are ready.
///
/// If there are more processes than partitions, some have none: they are standbys, and are not waited for.
struct Readiness: Sendable {
    /// What a group member without partitions reports.
    private static let idle = "no partitions are assigned"

    private let partitions: [ServiceKind: Int]
    private let client = HTTPClient()

    /// Prepares the checks.
    ///
    /// - Parameter partitions: how many partitions the processes of a kind share; a kind that shares none is missing.
    init(partitions: [ServiceKind: Int]) {
        self.partitions = partitions
    }

    /// Waits until all members are ready.
    ///
    /// - Throws: `ProcessFailure` naming those that are not ready in time, with the reasons they give.
    func wait(for members: [SystemPlan.Member], within limit: Duration) async throws {
        let end = ContinuousClock.now + limit
        while true {
            let waiting = await waiting(among: members)
            if waiting.isEmpty { return }
            guard ContinuousClock.now < end else {
                let reasons = waiting.map { "\($0.member.kind.rawValue) \($0.member.instance): \($0.reason)" }
                throw ProcessFailure(
                    "not ready after \(limit.configurationText): \(reasons.joined(separator: "; ")). "
                        + "Their logs are in the data folder; --ready-within gives them longer",
                    exitCode: .unavailable
                )
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Asks once.
    ///
    /// - members: all members of the kinds in question.
    /// - Returns: those that are not ready, and why.
    func waiting(among members: [SystemPlan.Member]) async -> [(member: SystemPlan.Member, reason: String)] {
        var waiting: [(member: SystemPlan.Member, reason: String)] = []
        var surplus: [ServiceKind: Int] = [:]
        for (kind, count) in partitions { surplus[kind] = members.count { $0.kind == kind } - count }
        for member in members {
            guard let reason = await Self.reason(adminPort: member.adminPort, client) else { continue }
            if let left = surplus[member.kind], left > 0, reason.contains(Self.idle) {
                surplus[member.kind] = left - 1
            } else {
                waiting.append((member, reason))
            }
        }
        return waiting
    }

    /// Why a process is not ready; nil if it is.
    static func reason(adminPort: Int, _ client: HTTPClient) async -> String? {
        let request = HTTPClientRequest("GET", "http://127.0.0.1:\(adminPort)/readyz", timeout: .seconds(10))
        guard let response = try? await client.send(request) else { return "does not answer" }
        if response.status == 200 { return nil }
        return unmet(in: response.text) ?? response.text.split(whereSeparator: \.isNewline).joined(separator: ", ")
    }

    /// The unmet conditions on a `/readyz` page, in words; nil if it is not such a page.
    static func unmet(in page: String) -> String? {
        struct Page: Decodable {
            var conditions: [String: String]
        }
        guard let page = try? JSONDecoder().decode(Page.self, from: Data(page.utf8)) else { return nil }
        let unmet = page.conditions.filter { $0.value != "ok" }.sorted { $0.key < $1.key }.map(\.value)
        return unmet.isEmpty ? nil : unmet.joined(separator: "; ")
    }
}
