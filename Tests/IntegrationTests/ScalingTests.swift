import Datasets
import Foundation
import ServiceRuntime
import Testing
import Verification

/// More and fewer workers and writers while events flow: every row is right at the end, and none ever goes back.
@Suite(.serialized) struct ScalingTests {
    /// Over Kafka too where there is one.
    private static let logs = KafkaBroker.program == nil ? [false] : [false, true]

    @Test(arguments: logs) func rowsStayRightWhileProcessesComeAndGo(kafka: Bool) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let world = try SyntheticWorld(SyntheticWorld.Configuration(filmCount: 200))
        let bundle = "\(folder)/bundle"
        try SmallBundle.write(to: bundle, catalogue: world.catalogue)
        let broker = kafka ? try await KafkaBroker.start(in: folder) : nil
        var options = LocalSystem.Options(log: broker?.address, bundle: bundle)
        options.partitions = 4
        let system = try await LocalSystem.start(options, in: folder)
        do {
            let result = try await ScalingVerification(
                system,
                bundle: bundle,
                histories: (0..<60).map { world.viewer($0).events },
                rate: 100,
                steps: [
                    .init("encoder-workers", 3), .init("embedding-writers", 2), .init("encoder-workers", 1),
                    .init("embedding-writers", 1),
                ]
            ).run()
            #expect(result.rows.mismatches == [])
            #expect(result.rows.foundRows == 60 && result.rows.expectedRows == 60)
            #expect(result.wentBack == [])
            #expect(result.looks > 3 && result.steps.count == 4)
        } catch {
            await system.stop()
            await broker?.stop()
            throw error
        }
        #expect(await system.stop() == .exited(0), "\(system.printed)")
        await broker?.stop()
    }
}
