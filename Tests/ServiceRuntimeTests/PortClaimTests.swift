import Foundation
import HTTPServer
import Testing

@testable import ServiceRuntime

@Suite struct PortClaimTests {
    private func listens(on port: Int) -> Bool {
        (try? HTTPServer(HTTPServerConfiguration(port: port), handler: { _ in .text("") })) != nil
    }

    @Test func whoNamesTheClaimedPortCanListenOnItAndAgain() throws {
        let claim = try PortClaim()
        for _ in 0..<3 {
            let server = try HTTPServer(HTTPServerConfiguration(port: claim.port), handler: { _ in .text("") })
            #expect(server.port == claim.port)
            #expect(!listens(on: claim.port), "two at once")
        }
    }

    @Test func nobodyElseIsGivenAClaimedPort() throws {
        let claims = try (0..<50).map { _ in try PortClaim() }
        let ports = Set(claims.map(\.port))
        #expect(ports.count == 50)
        let others = try (0..<200).map { _ in try HTTPServer(HTTPServerConfiguration(), handler: { _ in .text("") }) }
        #expect(ports.isDisjoint(with: others.map(\.port)))
        withExtendedLifetime(claims) {}
    }

    @Test func aPortOnWhichSomebodyListensIsNamed() throws {
        let server = try HTTPServer(HTTPServerConfiguration(), handler: { _ in .text("") })
        let error = #expect(throws: ProcessFailure.self) { _ = try PortClaim(server.port) }
        #expect(error?.description == "port \(server.port) of 127.0.0.1 cannot be used: another process has it")
        #expect(error?.exitCode == .unavailable)
        let nowhere = #expect(throws: ProcessFailure.self) { _ = try PortClaim(host: "no.such.host.invalid") }
        #expect(nowhere?.description.contains("no.such.host.invalid") == true)
    }

    @Test func aClaimThatIsGivenUpIsFree() throws {
        let port = try PortClaim().port
        #expect(listens(on: port))
    }
}
