import PostgresLogs
import MessageLogs
import TestSupport
import Testing

@Suite struct PostgresLogConformanceTests {
    @Test(arguments: LogConformance.Scenario.allCases)
    func conforms(scenario: LogConformance.Scenario) async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let suite = LogConformance { try await PostgresLog(address: address) }
        try await suite.run(scenario)
    }
}
