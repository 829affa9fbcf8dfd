import Datasets
import Foundation
import ServiceRuntime
import Testing
import Verification

/// The system that the tests of a suite share.
struct SharedSystem: Sendable {
    /// The system of the suite that runs now.
    @TaskLocal static var current: SharedSystem?

    let system: LocalSystem
    let bundle: String
    let folder: String
    let world: SyntheticWorld

    static func required() throws -> SharedSystem {
        try #require(current, "the suite has no system")
    }
}

/// Starts the real system for a suite, and takes it away afterwards.
struct SystemTrait: SuiteTrait, TestScoping {
    /// Which message log.
    enum Log: Sendable {
        case postgres
        case kafka
    }

    let log: Log

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let broker = log == .kafka ? try await KafkaBroker.start(in: folder) : nil
        do {
            try await run(folder, broker, function)
            await broker?.stop()
        } catch {
            await broker?.stop()
            throw error
        }
    }

    private func run(
        _ folder: String,
        _ broker: KafkaBroker?,
        _ function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let world = try SyntheticWorld(SyntheticWorld.Configuration(filmCount: 200))
        let bundle = "\(folder)/bundle"
        try SmallBundle.write(to: bundle, catalogue: world.catalogue)
        var options = LocalSystem.Options(log: broker?.address, bundle: bundle)
        options.encoderWorkers = 2
        options.partitions = 4
        let system = try await LocalSystem.start(options, in: folder)
        let shared = SharedSystem(system: system, bundle: bundle, folder: folder, world: world)
        do {
            try await SharedSystem.$current.withValue(shared, operation: function)
            #expect(await system.stop() == .exited(0), "\(system.printed)")
        } catch {
            await system.stop()
            throw error
        }
    }
}

extension Trait where Self == SystemTrait {
    /// Starts the real system over a message log for the tests of a suite.
    static func system(over log: SystemTrait.Log) -> SystemTrait { SystemTrait(log: log) }
}
