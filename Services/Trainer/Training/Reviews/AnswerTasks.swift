import Datasets
import ServiceRuntime

/// What a model is trained to answer, or is asked about.
struct AnswerTasks: Sendable, Equatable {
    /// One task.
    enum Name: String, CaseIterable, Sendable {
        case nextTitle = "next-title"
        case favouriteCategory = "favourite-category"
        case review
    }

    var names: Set<Name> = [.nextTitle, .favouriteCategory]
    /// The most tokens of a review that are learnt or written.
    var reviewTokens = 64
    /// One in this many steps asks for reviews and for nothing else, where other tasks are trained too.
    ///
    /// A question about a review is long and no other is like it, so that a step of them costs much more.
    var stepsPerReviewStep = 4

    /// Whether a task is one of them.
    func contains(_ name: Name) -> Bool { names.contains(name) }

    /// Whether a step, counted from 0, asks for reviews alone.
    func asksForReviews(_ step: Int) -> Bool {
        guard contains(.review) else { return false }
        return names.count == 1 || step % stepsPerReviewStep == stepsPerReviewStep - 1
    }

    /// Refuses a data set without reviews where they are asked for.
    ///
    /// - Throws: `ProcessFailure` saying how to prepare one.
    func check(_ dataset: PreparedDataset) throws(ProcessFailure) {
        guard contains(.review), !dataset.hasReviews else { return }
        throw ProcessFailure(
            "--tasks has review, and the data set was prepared without reviews: prepare it again with --reviews (and train "
                + "the encoder on that), or leave the task out",
            exitCode: .badInput
        )
    }

    /// What a training's validation measures, in words: a sum where there are several tasks that are validated.
    var metricName: String {
        let parts = [
            contains(.nextTitle) ? "next title" : nil, contains(.review) ? "token of a review" : nil,
        ].compactMap { $0 }
        return "validation log-likelihood of the " + parts.joined(separator: " and of a ")
    }

    /// How the name of a result in a run's folder ends: one of other tasks does not replace that of titles.
    var fileSuffix: String {
        contains(.nextTitle) ? "" : Name.allCases.filter(contains).map { "-" + $0.rawValue }.joined()
    }

    /// The same as the name of a field.
    var metricField: String {
        let parts = [contains(.nextTitle) ? "title" : nil, contains(.review) ? "review_token" : nil]
        return "validation_" + parts.compactMap { $0 }.joined(separator: "_and_") + "_log_likelihood"
    }
}

// MARK: - Keys

extension AnswerTasks {
    private static let allNames = Name.allCases.map(\.rawValue).joined(separator: ", ")
    private static let tasks = ConfigurationKey<String>(
        "tasks",
        default: "next-title,favourite-category",
        help: "What is asked, separated by commas: \(allNames); review needs a data set prepared with --reviews",
        expectation: "some of \(allNames), separated by commas, each once"
    ) { text in
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map { Name(rawValue: String($0)) }
        return !names.contains(nil) && Set(names).count == names.count
    }
    private static let reviewTokens = ConfigurationKey<Int>(
        "review-tokens",
        default: 64,
        in: 1...4_096,
        unit: "tokens",
        help: "How much of a review is learnt or written, and compared"
    )
    private static let reviewEvery = ConfigurationKey<Int>(
        "review-every",
        default: 4,
        in: 1...1_000_000,
        help: "One in this many steps asks for reviews alone; every step where --tasks has nothing else"
    )

    /// Keys of an evaluation.
    static let keys: [any AnyConfigurationKey] = [tasks, reviewTokens]
    /// Keys of a training.
    static let trainingKeys: [any AnyConfigurationKey] = keys + [reviewEvery]

    /// Reads what an evaluation asks about.
    init(_ reader: ConfigurationReader) throws(ConfigurationError) {
        names = Set(try reader.value(of: Self.tasks).split(separator: ",").compactMap { Name(rawValue: String($0)) })
        reviewTokens = try reader.value(of: Self.reviewTokens)
    }

    /// Reads what is trained.
    ///
    /// - Throws: `ConfigurationError` also for tasks of which none is validated.
    init(training reader: ConfigurationReader) throws(ConfigurationError) {
        try self.init(reader)
        stepsPerReviewStep = try reader.value(of: Self.reviewEvery)
        guard contains(.nextTitle) || contains(.review) else {
            throw .usage("--tasks favourite-category alone cannot be validated: add next-title or review")
        }
    }
}
