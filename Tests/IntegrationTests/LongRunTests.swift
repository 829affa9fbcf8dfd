import Datasets
import Foundation
import Bytes
import Testing
import Verification

/// MovieLens-1M through the running system, each service killed on the way: `Deploy/test --full`.
@Suite(.serialized, .enabled(if: LongRun.isWanted, "a long run: Deploy/test --full"))
struct LongRunTests {
    @Test(
        .enabled(if: LongRun.movieLens != nil, "no MovieLens-1M: set USERLLM_DATA, or put it at ../shared/data/ml-1m"),
        arguments: LongRun.logs
    )
    func allRowsOfMovieLensEqualTheOfflineEncoding(kafka: Bool) async throws {
        let data = try #require(LongRun.movieLens)
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bundle = "\(folder)/bundle"
        try SmallBundle.write(to: bundle, catalogue: MovieLensFolder(path: data).catalogue())
        let broker = kafka ? try await KafkaBroker.start(in: folder) : nil
        var options = LocalSystem.Options(log: broker?.address, bundle: bundle)
        options.encoderWorkers = 2
        let system = try await LocalSystem.start(options, in: folder)
        let result = try await ReplayVerification(
            system,
            .movieLens(data),
            bundle: bundle,
            kills: ["encoder-worker", "embedding-writer", "llm-responder", "event-ingestor", "gateway"]
        ).run()
        await system.stop()
        await broker?.stop()
        #expect(result.rows.mismatches == [])
        #expect(result.rows.foundRows == result.rows.expectedRows)
    }
}

/// What a long run needs.
enum LongRun {
    /// Whether long runs were asked for.
    static let isWanted = ProcessInfo.processInfo.environment["USERLLM_TEST_FULL"] == "1"

    /// Over Kafka too where there is one.
    static let logs = KafkaBroker.program == nil ? [false] : [false, true]

    /// The folder of MovieLens-1M; nil when there is none.
    static let movieLens: String? = {
        // Tests/IntegrationTests/LongRunTests.swift is three levels below the repository's root.
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let data =
            ProcessInfo.processInfo.environment["USERLLM_DATA"] ?? root.deletingLastPathComponent().path
            + "/shared/data"
        let folder = "\(data)/ml-1m"
        return FileManager.default.fileExists(atPath: "\(folder)/ratings.dat") ? folder : nil
    }()
}
