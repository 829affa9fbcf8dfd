import Catalogues
import Datasets
import Foundation
import Bytes
import ServiceRuntime
import Testing

@testable import Trainer

@Suite("Evaluation of an encoder", .serialized)
struct EvaluateEncoderTests {
    private func evaluate(
        _ world: World,
        _ split: Split,
        by name: EvaluationProtocol.Name? = nil
    ) throws -> [String: Any] {
        let report = try EvaluateEncoderCommand.evaluate(
            world.folder + "/encoder",
            world.dataset,
            split: split,
            by: name,
            threads: 2
        )
        return try #require(JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
    }

    @Test func aResultSaysWhatItIsOf() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 6)
        let result = try evaluate(world, .test)
        #expect(result["protocol"] as? String == "leave-one-out")
        #expect(result["split"] as? String == "test")
        #expect(result["data_hash"] as? String == world.dataset.dataHash)
        #expect(result["seed"] as? Int == 9)
        #expect(result["users"] as? Int == 60)
        #expect(result["items"] as? Int == world.dataset.catalogue.count)
        #expect(result["commit"] is String)
        #expect(result["seconds"] is Double)
        #expect([3, 6].contains(result["best_step"] as? Int))
        for measure in ["hr", "ndcg", "mrr"] {
            for suffix in ["", "_seen_unfiltered", "_most_popular", "_most_popular_seen_unfiltered"] {
                let values = try [1, 5, 10].map { try #require(result["\(measure)_\($0)\(suffix)"] as? Double) }
                #expect(values == values.sorted(), "\(measure)\(suffix) falls with the cut-off")
                #expect(values.allSatisfy { (0...1).contains($0) })
            }
            // What a user has had cannot be next in this world, so leaving it out only helps.
            let (filtered, unfiltered) = (result["\(measure)_10"], result["\(measure)_10_seen_unfiltered"])
            #expect(try #require(filtered as? Double) >= #require(unfiltered as? Double))
        }
    }

    @Test func aTrainingsOwnProtocolHoldsUnlessAnotherIsAskedFor() throws {
        let world = try World()
        defer { world.remove() }
        let outcome = try world.train("encoder", steps: 6) { $0.evaluationProtocol = .window }
        #expect(outcome.targets > 0)
        let own = try evaluate(world, .validation)
        let long = world.dataset.users.indices.count { world.dataset.eventCount(ofUser: $0) >= 14 }
        #expect(own["protocol"] as? String == "window")
        #expect(own["users"] as? Int == long)
        #expect(try evaluate(world, .validation, by: .leaveOneOut)["users"] as? Int == 60)
        #expect(
            RunFolder.evaluations(in: world.folder + "/encoder")
                == ["evaluation-validation-leave-one-out.json", "evaluation-validation-window.json"]
        )
    }

    @Test func whatWasFoundIsKeptUntilTheCheckpointIsAnother() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 2)
        let result = try evaluate(world, .test)
        let path = world.folder + "/encoder/evaluation-test-leave-one-out.json"
        let kept = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
        #expect((kept as? NSDictionary) == (result as NSDictionary))
        _ = try world.train("encoder", steps: 2)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func aCommitIsThatOfTheCheckoutOrUnknown() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "commit-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder + "/build", withIntermediateDirectories: true)
        let program = folder + "/build/program"
        try Data("a".utf8).write(to: URL(fileURLWithPath: program))
        #expect(SourceCommit.of(program: program) == "unknown")
        #expect(SourceCommit.of(program: folder + "/nowhere/program") == "unknown")

        func git(_ arguments: String...) throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b.c"] + arguments
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0)
        }
        try Data("one".utf8).write(to: URL(fileURLWithPath: folder + "/source"))
        try git("init", "-q")
        try git("add", "source")
        try git("commit", "-q", "-m", "one")
        func date(_ offset: Double) throws {
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: offset)],
                ofItemAtPath: program
            )
        }
        try date(60)
        let commit = SourceCommit.of(program: program)
        #expect(commit.count == 40 && commit.allSatisfy(\.isHexDigit))
        try date(-3_600)
        #expect(SourceCommit.of(program: program) == commit + "-or-before")
        try date(60)
        try Data("two".utf8).write(to: URL(fileURLWithPath: folder + "/source"))
        #expect(SourceCommit.of(program: program) == commit + "-dirty")
    }
}
