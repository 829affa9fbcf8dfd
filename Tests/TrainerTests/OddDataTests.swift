import Bytes
import Catalogues
import Datasets
import Foundation
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tensors
import Testing
import Tokenization
import UserModels

@testable import Trainer

/// Data sets whose titles say nothing, whose facts are too long, or whose users have hardly an event.
@Suite("Odd data around a User-LLM", .serialized)
struct OddDataTests {
    /// A data set of users who have so many events each, of all items in turn.
    private func dataset(_ items: [CatalogueItem], eventCounts: [Int]) throws -> PreparedDataset {
        let folder = FileManager.default.temporaryDirectory.appending(path: "odd-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Catalogue(items: items).write(to: folder + "/catalogue.json")
        var events = ""
        for (user, count) in eventCounts.enumerated() {
            for event in 0..<count {
                let item = items[(user + event) % items.count].id.text
                let time = 1_700_000_000_000 + 1_000 * event
                events += #"{"user":"u\#(user)","item":"\#(item)","time":\#(time)}"# + "\n"
            }
        }
        try Data(events.utf8).write(to: URL(filePath: folder + "/events.ndjson"))
        return try PrepareCommand.prepare(folder, into: folder + "/prepared", .init(format: .ndjson))
    }

    private func items(_ titles: [String]) -> [CatalogueItem] {
        titles.enumerated().map {
            CatalogueItem(id: "i\($0.offset)", title: $0.element, categories: ["c\($0.offset % 3)"])
        }
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    private func fields(_ report: Report) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
    }

    /// Trains an encoder and a small language model on a data set.
    private func trainParts(_ world: World, _ dataset: PreparedDataset) throws {
        let encoder = world.encoderSettings("encoder", steps: 1)
        _ = try TrainEncoderCommand.train(dataset, encoder, until: Shutdown())
        try trainLanguageModel(world, dataset)
    }

    private func trainLanguageModel(
        _ world: World,
        _ dataset: PreparedDataset,
        width: Int = 32,
        vocabulary: Int = 400
    ) throws {
        let settings = TrainLanguageModelCommand.Settings(
            options: world.options("language-model", steps: 1),
            batchCount: 8,
            vocabularySize: vocabulary,
            width: width,
            layers: 2
        )
        _ = try TrainLanguageModelCommand.train(dataset, settings, until: Shutdown())
    }

    private func userLLM(_ world: World, steps: Int) -> TrainUserLLMCommand.Settings {
        var settings = TrainUserLLMCommand.Settings(
            options: world.options("user-llm", steps: steps),
            encoder: world.folder + "/encoder",
            languageModel: world.folder + "/language-model"
        )
        (settings.batchCount, settings.adapter.latents) = (4, 4)
        return settings
    }

    private func textPrompt(_ world: World, steps: Int) -> TrainTextPromptCommand.Settings {
        TrainTextPromptCommand.Settings(
            options: world.options("text", steps: steps),
            languageModel: world.folder + "/language-model",
            context: 256,
            batchCount: 2
        )
    }

    // MARK: - Titles

    @Test func titlesThatAreNoneOrSharedAreCounted() throws {
        let dataset = try dataset(items(["Same", "", "Same", "  ", "Own"]), eventCounts: [5, 5])
        #expect(dataset.catalogue.items.map(\.title) == ["Same", "i1", "Same", "i3", "Own"])
        let prepared = try fields(PrepareCommand.report(dataset))
        #expect(prepared["items_without_title"] as? Int == 2)
        #expect(prepared["items_of_shared_titles"] as? Int == 2)
        let tokenizer = try BPETrainer.train(
            dataset.catalogue.items.map(\.title),
            vocabularySize: 300,
            specialTokens: PromptFormat.specialTokens
        )
        let titles = try Catalogue(items: items(["Same", "", "Same", "Own"]))
        var report = Report()
        report.add(
            KnownAnswers(
                catalogue: titles,
                categoryNames: titles.categories,
                format: try PromptFormat(tokenizer: tokenizer)
            )
        )
        let exported = try fields(report)
        #expect(exported["items_never_answered"] as? Int == 1 && exported["items_of_shared_titles"] as? Int == 2)
    }

    @Test func aCatalogueOfOneTitleTeachesNothing() throws {
        let world = try World()
        defer { world.remove() }
        let dataset = try dataset(items([String](repeating: "Same", count: 6)), eventCounts: [6, 7, 8])
        try trainParts(world, dataset)
        let expected = "nothing can be learnt: the 6 items of the catalogue have 1 titles between them"
        let joined = message { _ = try TrainUserLLMCommand.train(dataset, userLLM(world, steps: 1), until: Shutdown()) }
        #expect(joined.contains(expected), "\(joined)")
        let text = message {
            _ = try TrainTextPromptCommand.train(dataset, textPrompt(world, steps: 1), until: Shutdown())
        }
        #expect(text.contains(expected), "\(text)")
        for run in ["user-llm", "text"] { #expect(!FileManager.default.fileExists(atPath: "\(world.folder)/\(run)")) }
    }

    // MARK: - Facts

    /// A question and its answer that are longer than the model reads are cut in its own training, and left out later.
    @Test func factsThatAreTooLongAreNotAskedAbout() throws {
        let world = try World()
        defer { world.remove() }
        var items = items((0..<6).map { "Item \($0)" })
        items[2].categories = (0..<60).map { "Qx\($0)Zy\($0 * 7)Jw" }
        let dataset = try dataset(items, eventCounts: [6, 7, 8])
        try trainParts(world, dataset)
        let (language, tokenizer) = try RunFolder.languageModel(world.folder + "/language-model", dataset: dataset)
        let format = try PromptFormat(tokenizer: tokenizer)
        let answer = format.answer(UserTask.categoriesAnswer(items[2].categories)).count
        try #require(answer > language.configuration.maximumLength)
        // One step in forty asks about the catalogue.
        #expect(try TrainUserLLMCommand.train(dataset, userLLM(world, steps: 41), until: Shutdown()).steps == 41)
        let (model, _) = try RunFolder.userLLM(world.folder + "/user-llm", dataset: dataset)
        let histories = Histories(dataset, features: model.encoder.configuration.features)
        let answers = KnownAnswers(
            catalogue: dataset.catalogue,
            categoryNames: histories.features.categoryNames,
            format: format
        )
        let task = UserLanguageModelTask(
            model: model,
            histories: histories,
            answers: answers,
            format: format,
            reviews: nil,
            mixture: .init(),
            weights: .init(),
            strategy: .full,
            batchCount: 32,
            seed: 1,
            weightDecay: 0
        )
        #expect(task.factItems == [0, 1, 3, 4, 5])
        let facts = task.shards(ofStep: 39, count: 1)[0].questions
        #expect(facts.count == 32)
        let longest = language.configuration.maximumLength
        #expect(facts.allSatisfy { $0.choice == .vocabulary && $0.tokens.count <= longest })
    }

    // MARK: - Events

    @Test func usersOfOneEventOrTwoNeitherHelpNorHarm() throws {
        let world = try World()
        defer { world.remove() }
        let dataset = try World.dataset(eventCounts: [1, 2, 3, 4, 1, 9])
        try trainParts(world, dataset)
        let joined = try TrainUserLLMCommand.train(dataset, userLLM(world, steps: 3), until: Shutdown())
        #expect(joined.steps == 3 && joined.bestMetric?.isFinite == true)
        let text = try TrainTextPromptCommand.train(dataset, textPrompt(world, steps: 3), until: Shutdown())
        #expect(text.steps == 3 && text.bestMetric?.isFinite == true)
        let bundle = try ExportCommand.export(
            dataset,
            run: world.folder + "/user-llm",
            to: world.folder + "/bundle"
        )
        let report = try fields(EvaluateUserLLMCommand.evaluate(bundle, dataset, users: nil, threads: 2))
        // Users of three events and more.
        #expect(report["users"] as? Int == 3)
    }

    // MARK: - Other data, other models

    @Test func aBundleIsNotAskedAboutOtherItems() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 1)
        var settings = BundleCommand.Settings(
            encoder: world.folder + "/encoder",
            languageModel: publishedGGUF("qwen2-q4_0")
        )
        (settings.adapter.latents, settings.adapter.heads, settings.adapter.innerWidth) = (4, 2, 16)
        let bundle = try BundleCommand.write(world.dataset, settings, to: world.folder + "/bundle")
        let other = try World.dataset(eventCounts: [5, 6, 7])
        let expected =
            "and they are not the \(other.catalogue.count) of the data set: give the data set it was trained on"
        let evaluated = message { _ = try EvaluateUserLLMCommand.evaluate(bundle, other, users: nil, threads: 1) }
        #expect(evaluated.contains(expected), "\(evaluated)")
        var efficiency = EfficiencySettings()
        efficiency.lengths = [3]
        let measured = message { _ = try EfficiencyCommand.measure(bundle, other, efficiency, until: Shutdown()) }
        #expect(measured.contains(expected), "\(measured)")
        // The name of the setting, not only that of the value that it decides.
        settings.adapter.first = 99
        let first = message { _ = try BundleCommand.write(world.dataset, settings, to: world.folder + "/bundle") }
        #expect(first.hasPrefix("--from-block: adapter.crossAttentionFrom is 99, expected from 0 to below"), "\(first)")
        #expect(try ModelBundle.load(world.folder + "/bundle").version == bundle.version)
    }

    @Test func aTrainingGoesOnWithTheLanguageModelItBeganWith() throws {
        let world = try World()
        defer { world.remove() }
        try trainParts(world, world.dataset)
        var settings = userLLM(world, steps: 2)
        _ = try TrainUserLLMCommand.train(world.dataset, settings, until: Shutdown())
        settings.options.resumes = true
        func resumed() -> String {
            message { _ = try TrainUserLLMCommand.train(world.dataset, settings, until: Shutdown()) }
        }
        #expect(resumed() == "no error")
        let path = world.folder + "/user-llm/tokenizer.json"
        let tokenizer = try Data(contentsOf: URL(filePath: path))
        try trainLanguageModel(world, world.dataset, vocabulary: 360)
        #expect(resumed().contains("began with the tokenizer \(path), which is not the one of --language-model any"))
        #expect(try Data(contentsOf: URL(filePath: path)) == tokenizer)
        try trainLanguageModel(world, world.dataset, width: 48)
        let wider = resumed()
        #expect(wider.contains("adapter.languageModelWidth is 32, this training has 48"), "\(wider)")
    }

    @Test func aPublishedModelThatChangedIsNoticedWhenATrainingGoesOn() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 1)
        var settings = userLLM(world, steps: 2)
        settings.languageModel = world.folder + "/published.gguf"
        settings.adapter.heads = 2
        let file = URL(filePath: settings.languageModel)
        let whole = try Data(contentsOf: URL(filePath: publishedGGUF("qwen2-q4_0")))
        try whole.write(to: file)
        _ = try TrainUserLLMCommand.train(world.dataset, settings, until: Shutdown())
        settings.options.resumes = true
        var changed = whole
        changed[whole.count - 1] ^= 1
        try changed.write(to: file)
        func resumed() -> String {
            message { _ = try TrainUserLLMCommand.train(world.dataset, settings, until: Shutdown()) }
        }
        #expect(resumed().contains("published.gguf is not the one that was trained on: its hash is "))
        try whole.write(to: file)
        #expect(resumed() == "no error")
        settings.nextEventWeight = 0.3
        #expect(resumed().contains("--next-event-weight is 0.3, expected 0 or none: the strategy proj does not train"))
    }
}
