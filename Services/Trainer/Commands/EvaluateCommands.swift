import Catalogues
import Datasets
import Foundation
import ServiceRuntime
import UserModels

/// `trainer evaluate encoder`: ranks the catalogue for every user's held-out event.
enum EvaluateEncoderCommand {
    static let split = ConfigurationKey<Split>(
        "split",
        default: .test,
        help: "Which event is predicted: test (a user's last) or validation (the one before)"
    )
    static let evaluationProtocol = ConfigurationKey<EvaluationProtocol.Name>(
        "protocol",
        help: "Who is asked about: leave-one-out (users with at least 3 events) or window (the paper's: users with at "
            + "least as many events as the encoder reads, and 2); by default the one it was trained by"
    )

    static var command: Command {
        Command(
            "evaluate encoder",
            summary: "Rank the whole catalogue for every user's held-out event, by the encoder's own head",
            arguments: [
                TrainerKeys.prepared,
                CommandArgument("run", help: "The folder of the encoder's training"),
            ],
            keys: [TrainerKeys.threads, split, evaluationProtocol],
            work: "encoder evaluation"
        ) { context in
            let reader = context.configuration
            let (prepared, run) = (try context.required("prepared"), try context.required("run"))
            let threads = try reader.value(of: TrainerKeys.threads)
            let split = try reader.value(of: split)
            let name = try reader.optionalValue(of: evaluationProtocol)
            return { _ in
                let dataset = try PreparedDataset(contentsOf: prepared)
                return try evaluate(run, dataset, split: split, by: name, threads: threads)
            }
        }
    }

    /// Evaluates the encoder of a training run, and saves the results in its folder.
    ///
    /// - Parameters:
    ///   - run: the folder of the training run.
    ///   - dataset: the data set it was trained on.
    ///   - split: the event to predict.
    ///   - name: the protocol; nil is the one it was trained with.
    ///   - threads: the number of threads.
    /// - Returns: the metrics, and everything that says what they apply to.
    /// - Throws: if the run or the data set cannot be used, or the result cannot be saved.
    static func evaluate(
        _ run: String,
        _ dataset: PreparedDataset,
        split: Split,
        by name: EvaluationProtocol.Name?,
        threads: Int
    ) throws -> Report {
        let start = ContinuousClock.now
        let encoder = try RunFolder.encoder(run, dataset: dataset)
        let description = try RunDescription(folder: run)
        let name = name ?? description.evaluationProtocol
        let histories = Histories(
            dataset,
            features: encoder.configuration.features,
            evaluationProtocol: EvaluationProtocol(name, length: encoder.configuration.length)
        )
        try histories.checkEvaluable()
        let ranks = EncoderEvaluation(encoder: encoder, histories: histories, threads: threads).ranks(split)
        let popular = EncoderEvaluation.mostPopular(histories, split)
        var report = Report()
        report.add("protocol", name.rawValue)
        report.add("split", split.rawValue)
        report.add("items", dataset.catalogue.count)
        report.add("data_hash", dataset.dataHash)
        report.add("seed", description.seed)
        report.add("best_step", try RunFolder.bestState(run).step)
        report.add("users", ranks.filtered.count)
        report.add(ranks.filtered, "")
        report.add(ranks.unfiltered, "_seen_unfiltered")
        report.add(popular.filtered, "_most_popular")
        report.add(popular.unfiltered, "_most_popular_seen_unfiltered")
        report.add("seconds", (ContinuousClock.now - start).inSeconds)
        report.add("commit", SourceCommit.current)
        let path = "\(run)/evaluation-\(split.rawValue)-\(name.rawValue).json"
        try (report.json() + [0x0A]).write(to: URL(fileURLWithPath: path), options: .atomic)
        return report
    }
}

/// `trainer evaluate user-llm`: asks a bundle about every user's held-out event.
enum EvaluateUserLLMCommand {
    private static let users = ConfigurationKey<Int>(
        "users",
        in: 1...Int(Int32.max),
        help: "How many users are asked about, spread over all; all by default"
    )

    static var command: Command {
        Command(
            "evaluate user-llm",
            summary: "Ask a bundle for every user's next title, favourite category or review",
            arguments: [
                TrainerKeys.prepared,
                CommandArgument("bundle", help: "The folder of a model bundle"),
            ],
            keys: [TrainerKeys.threads, users] + AnswerTasks.keys,
            work: "User-LLM evaluation"
        ) { context in
            let reader = context.configuration
            let (prepared, folder) = (try context.required("prepared"), try context.required("bundle"))
            let threads = try reader.value(of: TrainerKeys.threads)
            let limit = try reader.optionalValue(of: users)
            let tasks = try AnswerTasks(reader)
            return { _ in
                let dataset = try PreparedDataset(contentsOf: prepared)
                let bundle = try ModelBundle.load(folder)
                return try evaluate(bundle, dataset, users: limit, tasks: tasks, threads: threads)
            }
        }
    }

    /// Asks about users and reports the metrics, along with the baselines on the same users.
    static func evaluate(
        _ bundle: ModelBundle,
        _ dataset: PreparedDataset,
        users limit: Int?,
        tasks: AnswerTasks = AnswerTasks(),
        threads: Int
    ) throws -> Report {
        try bundle.checkItems(of: dataset)
        let features = bundle.encoder.configuration.features
        let test = try TestQuestions(dataset, features: features, users: limit, tasks: tasks)
        return try test.report { report in
            report.add("bundle", bundle.version)
            // A bundle does not record the seed of its training, and asking uses no randomness.
            report.addUnknown("seed")
            if test.asksForKnownAnswers { try addKnownAnswers(to: &report, bundle, test, threads: threads) }
            if tasks.contains(.review) { try addReviews(to: &report, bundle, test, threads: threads) }
        }
    }

    private static func addKnownAnswers(
        to report: inout Report,
        _ bundle: ModelBundle,
        _ test: TestQuestions,
        threads: Int
    ) throws {
        let result = try UserLLMEvaluation(bundle: bundle, test: test, threads: threads).evaluate()
        if test.tasks.contains(.favouriteCategory) { report.addCategories(result.known) }
        guard test.tasks.contains(.nextTitle) else { return }
        let head = EncoderEvaluation(encoder: bundle.encoder, histories: test.histories, threads: threads)
            .ranks(.test, users: test.users)
        report.addTitles(result.known, test)
        if result.titlesFused.count > 0 { report.addRecall(result.titlesFused, "_fused") }
        if result.titlesLate.count > 0 { report.addRecall(result.titlesLate, "_late_fusion") }
        report.addRecall(head.filtered, "_encoder_head")
    }

    private static func addReviews(
        to report: inout Report,
        _ bundle: ModelBundle,
        _ test: TestQuestions,
        threads: Int
    ) throws {
        let (dataset, tokens) = (test.dataset, test.tasks.reviewTokens)
        let encoder = try bundle.makeEncodingEngine(threads: threads)
        let answerer = try bundle.makeAnsweringEngine(configuration: .evaluation(threads: threads))
        let evaluation = ReviewEvaluation(dataset: dataset, format: bundle.format, tokens: tokens)
        let result = try evaluation.evaluate(users: test.users) { questions in
            try ReviewEvaluation.answers(to: questions, bundle, dataset, tokens: tokens, encoder, answerer)
        }
        // Where reviews were not trained, free text is the language model's alone, whoever asks.
        report.add("review_reads_user", bundle.adapter.configuration.actsOnText)
        report.add(result, tokens: tokens)
    }
}

extension Report {
    /// Adds the metrics of a ranking at 1, 5 and 10.
    mutating func add(_ metrics: RankingMetrics, _ suffix: String) {
        for cutoff in metrics.cutoffs {
            add("hr_\(cutoff)\(suffix)", metrics.hitRate(at: cutoff))
            add("ndcg_\(cutoff)\(suffix)", metrics.ndcg(at: cutoff))
            add("mrr_\(cutoff)\(suffix)", metrics.mrr(at: cutoff))
        }
        add("mrr\(suffix)", metrics.meanReciprocalRank)
    }

    /// Adds the recall of a ranking at 1, 5 and 10, with the ends of its 95 % interval.
    mutating func addRecall(_ metrics: RankingMetrics, _ suffix: String) {
        for cutoff in metrics.cutoffs {
            let interval = metrics.hitRateInterval(at: cutoff)
            add("recall_\(cutoff)\(suffix)", metrics.hitRate(at: cutoff))
            add("recall_\(cutoff)\(suffix)_low", interval.lowerBound)
            add("recall_\(cutoff)\(suffix)_high", interval.upperBound)
        }
    }
}
