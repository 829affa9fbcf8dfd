import Catalogues
import Datasets
import Foundation
import LanguageEngine
import ModelFiles
import ServiceRuntime
import UserModels

/// `trainer evaluate text-prompt`: asks about every user's held-out event from the timeline as text.
enum EvaluateTextPromptCommand {
    private static let users = ConfigurationKey<Int>(
        "users",
        in: 1...Int(Int32.max),
        help: "How many users are asked about, spread over all; all by default"
    )
    private static let zeroShot = ConfigurationKey<Bool>(
        "zero-shot",
        default: false,
        help: "Ask --language-model as it is published, without a training"
    )

    /// What is asked.
    private enum Subject: Sendable {
        case run(String)
        case published(String, chatTemplate: String?, context: Int, events: Int?)
    }

    static var command: Command {
        Command(
            "evaluate text-prompt",
            summary: "Ask for every user's next title, favourite category or review, with the timeline as text",
            arguments: [
                TrainerKeys.prepared,
                CommandArgument(
                    "run",
                    help: "The folder of a text prompt's training; none with --zero-shot",
                    count: .optional
                ),
            ],
            keys: [
                TrainerKeys.threads, users, zeroShot, TextPromptKeys.languageModel, TextPromptKeys.chatTemplate,
                TextPromptKeys.context, TextPromptKeys.events,
            ] + AnswerTasks.keys,
            work: "text prompt evaluation"
        ) { context in
            let reader = context.configuration
            let prepared = try context.required("prepared")
            let subject = try subject(reader, run: context.argument("run"))
            let threads = try reader.value(of: TrainerKeys.threads)
            let limit = try reader.optionalValue(of: users)
            let tasks = try AnswerTasks(reader)
            return { _ in
                let dataset = try PreparedDataset(contentsOf: prepared)
                switch subject {
                case .run(let folder):
                    return try evaluate(folder, dataset, users: limit, tasks: tasks, threads: threads)
                case .published(let path, let template, let context, let events):
                    let start = try StartingLanguageModel(path, chatTemplate: template, dataset: dataset)
                    let model = try TextPromptModel(
                        model: start.model,
                        format: start.format,
                        dataset: dataset,
                        context: context,
                        events: events
                    )
                    return try report(
                        model,
                        strategy: "zero-shot",
                        seed: nil,
                        dataset,
                        users: limit,
                        tasks: tasks,
                        threads: threads
                    )
                }
            }
        }
    }

    /// What the arguments ask for; those of a training belong to its run.
    private static func subject(_ reader: ConfigurationReader, run: String?) throws -> Subject {
        if try reader.value(of: zeroShot) {
            if let run {
                throw ConfigurationError.usage("RUN \"\(run)\" and --zero-shot exclude each other: leave one out")
            }
            return .published(
                try reader.value(of: TextPromptKeys.languageModel),
                chatTemplate: try reader.optionalValue(of: TextPromptKeys.chatTemplate),
                context: try reader.value(of: TextPromptKeys.context),
                events: try reader.optionalValue(of: TextPromptKeys.events)
            )
        }
        guard let run else {
            throw ConfigurationError.usage("RUN is missing: name a training's folder, or give --zero-shot")
        }
        let others: [any AnyConfigurationKey] = [
            TextPromptKeys.languageModel, TextPromptKeys.chatTemplate, TextPromptKeys.context, TextPromptKeys.events,
        ]
        for key in others where reader.isSet(key) {
            throw ConfigurationError.usage("--\(key.name) goes with --zero-shot: \(run) has what it was trained with")
        }
        return .run(run)
    }

    /// Evaluates a training run, and saves the results in its folder.
    ///
    /// - Throws: if the run or the data set cannot be used, or the result cannot be saved.
    static func evaluate(
        _ run: String,
        _ dataset: PreparedDataset,
        users: Int?,
        tasks: AnswerTasks = AnswerTasks(),
        threads: Int
    ) throws -> Report {
        let (model, configuration) = try RunFolder.textPrompt(run, dataset: dataset)
        let seed = try RunDescription(folder: run).seed
        let strategy = configuration.strategy.rawValue
        let report = try report(
            model,
            strategy: strategy,
            seed: seed,
            dataset,
            users: users,
            tasks: tasks,
            threads: threads
        )
        let name =
            "evaluation-\(Split.test.rawValue)-\(EvaluationProtocol.Name.leaveOneOut.rawValue)\(tasks.fileSuffix)"
        let path = "\(run)/\(name).json"
        try (report.json() + [0x0A]).write(to: URL(fileURLWithPath: path), options: .atomic)
        return report
    }

    /// Asks about users and reports the metrics, along with the most-popular baseline on the same users.
    static func report(
        _ model: TextPromptModel,
        strategy: String,
        seed: UInt64?,
        _ dataset: PreparedDataset,
        users limit: Int?,
        tasks: AnswerTasks = AnswerTasks(),
        threads: Int
    ) throws -> Report {
        let test = try TestQuestions(dataset, users: limit, tasks: tasks)
        if tasks.contains(.review) { try model.requireRoom(reviewTokens: tasks.reviewTokens, dataset) }
        let engine = try TextPromptEngine(
            model: model.model,
            format: .bfloat16,
            text: model.text,
            answers: model.answers,
            context: model.context,
            configuration: .evaluation(threads: threads)
        )
        return try test.report { report in
            report.add("strategy", strategy)
            report.add("context", model.context)
            if let seed { report.add("seed", seed) } else { report.addUnknown("seed") }
            if test.asksForKnownAnswers { try addKnownAnswers(to: &report, model, test, engine) }
            if tasks.contains(.review) { try addReviews(to: &report, model, test, engine) }
        }
    }

    private static func addReviews(
        to report: inout Report,
        _ model: TextPromptModel,
        _ test: TestQuestions,
        _ engine: TextPromptEngine
    ) throws {
        let (dataset, tokens) = (test.dataset, test.tasks.reviewTokens)
        let evaluation = ReviewEvaluation(dataset: dataset, format: model.text.format, tokens: tokens)
        let result = try evaluation.evaluate(users: test.users) { questions in
            try ReviewEvaluation.answers(to: questions, engine, dataset, tokens: tokens, events: model.events)
        }
        report.add(result, tokens: tokens)
    }

    /// Titles and favourite categories, and what asking for them cost.
    private static func addKnownAnswers(
        to report: inout Report,
        _ model: TextPromptModel,
        _ test: TestQuestions,
        _ engine: TextPromptEngine
    ) throws {
        let evaluation = TextPromptEvaluation(
            text: model.text,
            answers: model.answers,
            test: test,
            events: model.events
        )
        let result = try evaluation.evaluate(with: engine)
        if test.tasks.contains(.favouriteCategory) { report.addCategories(result.known) }
        if test.tasks.contains(.nextTitle) { report.addTitles(result.known, test) }
        report.add("prompt_tokens", result.first.mean(result.first.promptTokens))
        report.add("prompt_events", result.first.mean(result.first.events))
        report.add("milliseconds_per_question", result.first.milliseconds)
        report.add("milliseconds_per_further_question", result.further.milliseconds)
        report.add("cached_tokens_of_further_question", result.further.mean(result.further.cachedTokens))
    }
}
