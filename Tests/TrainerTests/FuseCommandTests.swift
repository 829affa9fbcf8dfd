import Bytes
import Catalogues
import Datasets
import Foundation
import ServiceRuntime
import Testing
import UserModels

@testable import Trainer

@Suite("Fusing a bundle's answers")
struct FuseCommandTests {
    /// A world with a bundle of a trained encoder and a language model that knows nothing of users.
    private func withBundle(_ body: (_ world: World, _ folder: String) throws -> Void) throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 60)
        let model = try world.publishedModel(layers: 2)
        var settings = BundleCommand.Settings(encoder: world.folder + "/encoder", languageModel: model)
        (settings.adapter.latents, settings.adapter.heads, settings.adapter.innerWidth) = (4, 2, 16)
        _ = try BundleCommand.write(world.dataset, settings, to: world.folder + "/bundle")
        try body(world, world.folder + "/bundle")
    }

    private func fields(_ report: Report) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
    }

    /// What is kept of ten users: that they are spread over all, and that it is true of them.
    private func check(_ examples: Any?, _ dataset: PreparedDataset, rankings: [String]) throws {
        let examples = try #require(examples as? [[String: Any]])
        let users = (0..<10).map { $0 * dataset.users.count / 10 }
        #expect(examples.map { $0["user"] as? String } == users.map { dataset.users[$0].text })
        for (example, user) in zip(examples, users) {
            let last = dataset.eventCount(ofUser: user) - 1
            let items = (0...last).map { dataset.catalogue.items[dataset.item(user: user, $0)] }
            let truth = try #require(example["truth"] as? [String: String])
            #expect(truth == ["id": items[last].id.text, "title": items[last].title])
            let recent = try #require(example["recent"] as? [[String: String]])
            #expect(recent.map { $0["id"] } == items[..<last].suffix(5).map(\.id.text))
            let answers = try #require(example["answers"] as? [String: [[String: String]]])
            #expect(answers.keys.sorted() == rankings)
            for titles in answers.values {
                let ids = titles.compactMap { $0["id"] }
                let seen = Set(items[..<last].map(\.id.text)).subtracting([items[last].id.text])
                #expect(ids.count == 5 && Set(ids).count == 5 && seen.isDisjoint(with: ids))
            }
        }
    }

    @Test func weightsAreLearntOnValidationEventsAndEvaluated() throws {
        try withBundle { world, folder in
            let before = try ModelBundle.load(folder)
            let plain = try fields(EvaluateUserLLMCommand.evaluate(before, world.dataset, users: 20, threads: 2))
            #expect(plain["recall_10_fused"] == nil && plain["recall_10_late_fusion"] == nil)
            try check(plain["examples"], world.dataset, rankings: ["encoder_head", "user_llm"])
            let report = try fields(
                FuseCommand.fuse(folder, world.dataset, users: nil, kinds: 3, threads: 2, until: Shutdown())
            )
            let bundle = try ModelBundle.load(folder)
            let fusion = try #require(bundle.fusion)
            #expect(report["split"] as? String == "validation")
            #expect(report["version"] as? String == bundle.version && report["bundle"] as? String == before.version)
            #expect(fusion.branches.count == 3)
            let second = try #require(report["weight_encoder_2"] as? Double)
            #expect(abs(second - fusion.branches[1].encoder) < 1e-12)
            #expect(report["users"] as? Int == 60)
            func likelihood(_ name: String) throws -> Double {
                try #require(report["log_likelihood_\(name)"] as? Double)
            }
            let fused = try likelihood("fused")
            #expect(try fused >= likelihood("language_model") && fused >= likelihood("encoder"))
            // The encoder was trained, the language model was not.
            #expect(try likelihood("encoder") > likelihood("language_model"))
            #expect(fusion.branches[0].encoder > 0.2)

            let evaluated = try fields(EvaluateUserLLMCommand.evaluate(bundle, world.dataset, users: 20, threads: 2))
            try check(evaluated["examples"], world.dataset, rankings: ["encoder_head", "fused", "user_llm"])
            // The same users are shown, and the same is said of them, however many are asked.
            let few = try fields(EvaluateUserLLMCommand.evaluate(bundle, world.dataset, users: 3, threads: 2))
            #expect(few["users"] as? Int == 3)
            #expect(try #require(few["examples"] as? NSArray) == (try #require(evaluated["examples"] as? NSArray)))
            for name in ["recall_10", "recall_10_seen_unfiltered", "recall_10_without_user", "recall_10_encoder_head"] {
                #expect(evaluated[name] as? Double == plain[name] as? Double, "\(name)")
            }
            for name in ["", "_fused", "_late_fusion", "_encoder_head", "_most_popular"] {
                for cutoff in [1, 5, 10] {
                    let recall = try #require(evaluated["recall_\(cutoff)\(name)"] as? Double)
                    let low = try #require(evaluated["recall_\(cutoff)\(name)_low"] as? Double)
                    let high = try #require(evaluated["recall_\(cutoff)\(name)_high"] as? Double)
                    #expect(0 <= low && low <= recall && recall <= high && high <= 1)
                }
            }
        }
    }

    /// Nothing that happened after the validation event has any influence, the test event least of all.
    @Test func testEventsAreNotLookedAt() throws {
        try withBundle { world, folder in
            let bundle = try ModelBundle.load(folder)
            func histories(_ dataset: PreparedDataset) -> Histories {
                Histories(dataset, features: bundle.encoder.configuration.features)
            }
            func observe(_ dataset: PreparedDataset) throws -> [FusionLearning.Observation] {
                try FusionLearning(bundle: bundle, histories: histories(dataset), threads: 1)
                    .observe([3, 11], until: Shutdown())
            }
            let same = try PrepareCommand.prepare(
                world.folder + "/data",
                into: world.folder + "/same",
                .init(format: .ndjson)
            )
            let observed = try observe(same)
            // The same world with other last events.
            let path = world.folder + "/data/events.ndjson"
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            var last: [String: Int] = [:]
            func user(_ line: Substring) -> String {
                line.split(separator: "\"user\":\"").last.map { String($0.prefix { $0 != "\"" }) } ?? ""
            }
            for (index, line) in lines.enumerated() { last[user(line)] = index }
            var changed = lines.map(String.init)
            for index in last.values {
                changed[index] = changed[index].replacing(/"item":"[^"]*"/, with: "\"item\":\"f1\"")
            }
            #expect(changed != lines.map(String.init))
            try Data(changed.joined(separator: "\n").utf8).write(to: URL(filePath: path))
            let other = try PrepareCommand.prepare(
                world.folder + "/data",
                into: world.folder + "/other",
                .init(format: .ndjson)
            )
            #expect(other.dataHash != same.dataHash)
            let again = try observe(other)
            #expect(observed.map(\.branches) == again.map(\.branches) && !observed[0].branches.isEmpty)
            #expect(observed.map(\.late) == again.map(\.late))
        }
    }

    @Test func theEncoderAloneIsItsHead() throws {
        try withBundle { world, folder in
            try ModelBundle.write(fusion: .encoderAlone, toBundle: folder)
            let bundle = try ModelBundle.load(folder)
            let report = try fields(EvaluateUserLLMCommand.evaluate(bundle, world.dataset, users: nil, threads: 2))
            for cutoff in [1, 5, 10] {
                let head = try #require(report["recall_\(cutoff)_encoder_head"] as? Double)
                #expect(report["recall_\(cutoff)_fused"] as? Double == head)
            }
            for example in try #require(report["examples"] as? [[String: Any]]) {
                let answers = try #require(example["answers"] as? [String: NSArray])
                #expect(answers["fused"] == answers["encoder_head"])
            }
            #expect(report["recall_10_late_fusion"] == nil)
        }
    }

    @Test func lateFusionRanksWhatTheLanguageModelRanks() throws {
        let choice = AnswerBranch(depth: 0, taken: 2, languageModel: [-1, -2, -3, -9], encoder: [0, 1, 5, 4])
        #expect(LateFusion.rank(choice, weight: 0) == 3)
        #expect(LateFusion.rank(choice, weight: 0.3) == 2)
        #expect(LateFusion.rank(choice, weight: 1) == 1)
    }

    @Test func whatDoesNotBelongTogetherIsNamed() throws {
        try withBundle { world, folder in
            let other = try World.dataset(eventCounts: [5, 6, 7])
            let version = try ModelBundle.load(folder).version
            func message(_ folder: String, _ dataset: PreparedDataset, _ shutdown: Shutdown = Shutdown()) -> String {
                do {
                    _ = try FuseCommand.fuse(folder, dataset, users: 3, kinds: 1, threads: 1, until: shutdown)
                    return "no error"
                } catch {
                    return "\(error)"
                }
            }
            #expect(message(folder, other).contains("give the data set it was trained on"))
            #expect(message("/nowhere/bundle", world.dataset).contains("there is no model bundle at /nowhere/bundle"))
            let shutdown = Shutdown()
            shutdown.request()
            #expect(message(folder, world.dataset, shutdown).contains("stopped"))
            #expect(try ModelBundle.load(folder).version == version)
            #expect(message(folder, world.dataset) == "no error")
            #expect(try ModelBundle.load(folder).fusion?.branches.count == 1)
        }
    }
}
