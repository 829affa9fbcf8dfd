import HTTPClient
import ServiceRuntime

/// Waits until every process says that it can do its work.
struct Readiness: Sendable {
    private let members: [SystemPlan.Member]
    private let limit: Duration
    private let client = HTTPClient()

    /// Will wait for a plan's members.
    init(_ plan: SystemPlan, within limit: Duration) {
        members = plan.members
        self.limit = limit
    }

    /// Waits.
    ///
    /// - Throws: `ProcessFailure` naming those that are not ready in time, with what they say.
    func wait() async throws {
        let end = ContinuousClock.now + limit
        var open = members
        while true {
            var reasons: [String] = []
            var waiting: [SystemPlan.Member] = []
            for member in open {
                guard let reason = await Self.reason(adminPort: member.adminPort, client) else { continue }
                waiting.append(member)
                reasons.append("\(member.kind.rawValue) \(member.instance): \(reason)")
            }
            open = waiting
            if open.isEmpty { return }
            guard ContinuousClock.now < end else {
                throw ProcessFailure(
                    "not ready after \(limit.configurationText): \(reasons.joined(separator: "; ")). "
                        + "Their logs are in the data folder; --ready-within gives them longer",
                    exitCode: .unavailable
                )
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Why a process is not ready; nil when it is.
    static func reason(adminPort: Int, _ client: HTTPClient) async -> String? {
        let request = HTTPClientRequest("GET", "http://127.0.0.1:\(adminPort)/readyz", timeout: .seconds(2))
        guard let response = try? await client.send(request) else { return "does not answer" }
        if response.status == 200 { return nil }
        return response.text.split(whereSeparator: \.isNewline).joined(separator: ", ")
    }
}
