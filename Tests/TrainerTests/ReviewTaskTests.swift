import Datasets
import Foundation
import ServiceRuntime
import Testing
import UserModels

@testable import Trainer

@Suite("The task review", .serialized)
struct ReviewTaskTests {
    /// Users of two kinds, told apart by every second item; each kind writes the same about everything.
    private static let words = ["very loud and solid", "warm but too quiet"]

    private func dataset(_ world: World) throws -> PreparedDataset {
        let folder = world.folder + "/reviewed"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let items = ["drum", "flute", "stand", "cable", "strap", "case"]
        let catalogue = items.map { #"{"id":"\#($0)","title":"The \#($0)","categories":["\#($0.first ?? "x")"]}"# }
        try Data(#"{"items":[\#(catalogue.joined(separator: ","))]}"#.utf8)
            .write(to: URL(filePath: folder + "/catalogue.json"))
        var events = ""
        for user in 0..<24 {
            let kind = user % 2
            for index in 0..<8 {
                let item = index % 2 == 0 ? items[kind] : items[2 + (user / 2 + index) % 4]
                let time = 1_700_000_000_000 + 1_000 * index
                events += #"{"user":"u\#(user)","item":"\#(item)","rating":4,"time":\#(time),"#
                events += #""text":"\#(Self.words[kind])"}"# + "\n"
            }
        }
        try Data(events.utf8).write(to: URL(filePath: folder + "/events.ndjson"))
        return try PrepareCommand.prepare(
            folder,
            into: world.folder + "/reviewed-prepared",
            .init(format: .ndjson, options: PreparationOptions(reviewByteCount: 200))
        )
    }

    private func languageModel(_ world: World, _ dataset: PreparedDataset) throws {
        let settings = TrainLanguageModelCommand.Settings(
            options: world.options("language-model", steps: 2),
            vocabularySize: 400,
            width: 32,
            layers: 2
        )
        _ = try TrainLanguageModelCommand.train(dataset, settings, until: Shutdown())
    }

    private func fields(_ report: Report) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func reviewsAreWrittenAsTheUserWould() throws {
        let world = try World()
        defer { world.remove() }
        let dataset = try dataset(world)
        try languageModel(world, dataset)
        let encoder = world.encoderSettings("encoder", steps: 5)
        _ = try TrainEncoderCommand.train(dataset, encoder, until: Shutdown())
        var settings = TrainUserLLMCommand.Settings(
            options: world.options("user-llm", steps: 500),
            encoder: world.folder + "/encoder",
            languageModel: world.folder + "/language-model",
            batchCount: 12
        )
        settings.options.learningRate = 4e-3
        settings.adapter.latents = 4
        settings.tasks = AnswerTasks(names: [.review], reviewTokens: 32)
        let outcome = try TrainUserLLMCommand.train(dataset, settings, until: Shutdown())
        // Of a token of a review that was not trained.
        #expect(try #require(outcome.bestMetric) > -0.5)
        let bundle = try ExportCommand.export(dataset, run: world.folder + "/user-llm", to: world.folder + "/bundle")
        #expect(bundle.adapter.configuration.actsOnText)
        let report = try EvaluateUserLLMCommand.evaluate(
            bundle,
            dataset,
            users: nil,
            tasks: settings.tasks,
            threads: 2
        )
        let found = try fields(report)
        func number(_ key: String) throws -> Double { try #require(found[key] as? Double, "\(key)") }
        #expect(found["review_users"] as? Int == 24 && found["review_tokens"] as? Int == 32)
        #expect(found["review_reads_user"] as? Bool == true)
        #expect(try number("rouge_1") > 0.8 && number("rouge_l") > 0.8, "\(found)")
        // The two kinds have no word in common, so what does not know the user is half right at best.
        #expect(try number("rouge_1_without_user") < 0.75)
        #expect(try number("rouge_1_previous_review") == 1 && number("rouge_l_previous_review_low") == 1)
        for name in ["rouge_1", "rouge_l"] {
            for suffix in ["", "_held_out_phrasing", "_without_user", "_previous_review"] {
                let value = try number(name + suffix)
                #expect(try number(name + suffix + "_low") <= value && number(name + suffix + "_high") >= value)
            }
        }
        #expect(found["recall_1"] == nil && found["favourite_category_accuracy"] == nil)
    }

    @Test func aPublishedModelIsTrainedOnAllTasks() throws {
        let world = try World()
        defer { world.remove() }
        let dataset = try dataset(world)
        _ = try TrainEncoderCommand.train(dataset, world.encoderSettings("encoder", steps: 2), until: Shutdown())
        var settings = TrainUserLLMCommand.Settings(
            options: world.options("user-llm", steps: 6),
            encoder: world.folder + "/encoder",
            languageModel: publishedGGUF("qwen2-q4_0")
        )
        settings.adapter.latents = 4
        settings.adapter.heads = 2
        settings.batchCount = 4
        settings.tasks = AnswerTasks(names: Set(AnswerTasks.Name.allCases), reviewTokens: 8, stepsPerReviewStep: 2)
        #expect(try TrainUserLLMCommand.train(dataset, settings, until: Shutdown()).bestMetric != nil)
        let bundle = try ExportCommand.export(dataset, run: world.folder + "/user-llm", to: world.folder + "/bundle")
        // What was learnt as text acts on text.
        #expect(bundle.adapter.configuration.actsOnText)
        let report = try EvaluateUserLLMCommand.evaluate(bundle, dataset, users: 4, tasks: settings.tasks, threads: 1)
        let found = try fields(report)
        #expect(["recall_1", "favourite_category_accuracy", "rouge_1"].allSatisfy { found[$0] is Double })
    }

    @Test func theTextPromptWritesReviewsToo() throws {
        let world = try World()
        defer { world.remove() }
        let dataset = try dataset(world)
        try languageModel(world, dataset)
        var settings = TrainTextPromptCommand.Settings(
            options: world.options("text", steps: 60),
            languageModel: world.folder + "/language-model",
            strategy: .full,
            context: 256,
            batchCount: 6,
            validationUsers: 8
        )
        settings.options.learningRate = 3e-2
        settings.options.validations = 1
        settings.tasks = AnswerTasks(names: [.review], reviewTokens: 32)
        _ = try TrainTextPromptCommand.train(dataset, settings, until: Shutdown())
        let losses = try TrainingLog.read(settings.options.folder).compactMap(\.loss)
        #expect(try #require(losses.last) < 0.9 * losses[0])
        let report = try EvaluateTextPromptCommand.evaluate(
            settings.options.folder,
            dataset,
            users: 8,
            tasks: settings.tasks,
            threads: 2
        )
        let found = try fields(report)
        #expect(found["review_users"] as? Int == 8 && found["rouge_1"] is Double && found["recall_1"] == nil)
        #expect(found["rouge_1_previous_review"] as? Double == 1)
        // It stands beside what an evaluation of titles leaves, and a report shows it.
        let kept = try FileManager.default.contentsOfDirectory(atPath: settings.options.folder)
        #expect(kept.contains("evaluation-test-leave-one-out-review.json"))
        _ = try ReportCommand.write([settings.options.folder], to: world.folder + "/report.html")
        let page = try String(contentsOfFile: world.folder + "/report.html", encoding: .utf8)
        #expect(
            page.contains("ROUGE-L") && page.contains("8 users with a review, \(settings.tasks.reviewTokens) tokens")
        )
        settings.tasks.reviewTokens = 255
        let short = message { _ = try TrainTextPromptCommand.train(dataset, settings, until: Shutdown()) }
        #expect(short.contains("--context is 256, expected at least") && short.contains("--review-tokens"), "\(short)")
    }

    @Test func whatCannotBeAskedIsNamed() throws {
        let world = try World()
        defer { world.remove() }
        let settings = TrainUserLLMCommand.Settings(
            options: world.options("user-llm", steps: 1),
            encoder: world.folder + "/encoder",
            languageModel: world.folder + "/language-model",
            tasks: AnswerTasks(names: [.nextTitle, .review])
        )
        let none = message { _ = try TrainUserLLMCommand.train(world.dataset, settings, until: Shutdown()) }
        #expect(none.contains("--tasks has review, and the data set was prepared without reviews"), "\(none)")
        func read(_ tasks: String) -> String {
            message {
                let environment = ["USERLLM_TASKS": tasks]
                _ = try AnswerTasks(
                    training: ConfigurationReader(keys: AnswerTasks.trainingKeys, environment: environment)
                )
            }
        }
        for tasks in ["next-title,reviews", "review,", "review,review", "next_title"] {
            #expect(read(tasks).contains("some of next-title, favourite-category, review"), "\(tasks)")
        }
        #expect(read("favourite-category").contains("cannot be validated: add next-title or review"))
        #expect(read("review,next-title") == "no error")
    }

    @Test func stepsOfReviewsAreBetweenTheOthers() {
        var tasks = AnswerTasks()
        #expect((0..<8).allSatisfy { !tasks.asksForReviews($0) })
        tasks.names.insert(.review)
        #expect((0..<8).filter { tasks.asksForReviews($0) } == [3, 7])
        #expect(tasks.metricField == "validation_title_and_review_token_log_likelihood")
        tasks.names = [.review]
        #expect((0..<8).allSatisfy { tasks.asksForReviews($0) })
        #expect(tasks.metricField == "validation_review_token_log_likelihood")
        #expect(AnswerTasks().metricField == "validation_title_log_likelihood")
        #expect(AnswerTasks().metricName == "validation log-likelihood of the next title")
    }
}
