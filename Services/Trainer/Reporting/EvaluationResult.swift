import Bytes
import JSON
import ServiceRuntime
import Tensors

/// What `trainer evaluate` found: kept in a run's folder, or printed with `--json`.
struct EvaluationResult: Sendable {
    /// What was evaluated.
    enum Kind: Sendable {
        case encoder, userLLM, textPrompt
    }

    /// The file, for errors about its content.
    var file: String
    var kind: Kind
    /// Text values, such as `protocol`, and the seed.
    var texts: [String: String] = [:]
    /// Numeric values, such as `hr_10`.
    var numbers: [String: Double] = [:]
    /// What was answered about some users; empty in results of earlier versions.
    var examples: [AnswerExample] = []

    /// The cut-offs of its rankings.
    static let cutoffs = [1, 5, 10]

    private static let textNames = ["protocol", "split", "data_hash", "bundle", "strategy", "commit"]
    /// How names of shares begin.
    private static let shares = ["hr_", "ndcg_", "mrr", "recall_", "favourite_category_", "rouge_"]

    private struct Examples: Decodable {
        var examples: [AnswerExample]?
    }

    /// Reads a result.
    ///
    /// - Throws: `ProcessFailure` naming the file, and the field that no evaluation writes.
    init(_ fields: ResultFields) throws {
        file = fields.file
        kind = try Self.kind(fields)
        for name in Self.textNames { texts[name] = try fields.text(name) }
        for (name, value) in fields.object.fields where texts[name] == nil {
            if Self.shares.contains(where: name.hasPrefix) {
                numbers[name] = try fields.number(name, in: 0...1)
            } else if ["users", "items", "context", "review_users", "review_tokens"].contains(name) {
                numbers[name] = try fields.whole(name, in: 0...Int(Int32.max)).map(Double.init)
            } else if case .number(let text) = value {
                if name == "seed" { texts[name] = text.text; continue }
                numbers[name] = try fields.number(name, in: TrainingLogLine.possibleValues)
            }
        }
        guard kind != .encoder else { return }
        _ = try fields.required("users", numbers["users"])
        if numbers.keys.contains(where: { $0.hasPrefix("recall_") }) {
            for name in ["recall_1", "recall_5", "recall_10"] { _ = try fields.required(name, numbers[name]) }
        }
        _ = try fields.required("data_hash", texts["data_hash"])
        do {
            let bytes = try FileBytes.contents(file, atMost: 1 << 20)
            examples = try JSONValue.decode(Examples.self, from: bytes).examples ?? []
        } catch {
            throw ProcessFailure("\(file): \(JSONError.reason(error)); evaluate again", exitCode: .badInput)
        }
    }

    /// Whose result it is, told by the fields that others do not have.
    private static func kind(_ fields: ResultFields) throws -> Kind {
        if fields.has("hr_10") { return .encoder }
        let isAnswering = ["recall_10", "favourite_category_accuracy", "rouge_1"].contains(where: fields.has)
        if isAnswering, fields.has("strategy") { return .textPrompt }
        if isAnswering, fields.has("bundle") { return .userLLM }
        throw ProcessFailure(
            "\(fields.file) is no result of `trainer evaluate encoder`, `user-llm` or `text-prompt`, nor of `trainer "
                + "efficiency`: it has neither hr_10, nor recall_10, favourite_category_accuracy or rouge_1 with bundle or "
                + "strategy, nor lengths; leave it out",
            exitCode: .badInput
        )
    }

    /// Whether titles were asked for.
    var hasTitles: Bool { numbers["recall_10"] != nil }
    /// Whether titles or favourite categories were.
    var hasKnownAnswers: Bool { hasTitles || numbers["favourite_category_accuracy"] != nil }
    /// Whether reviews were.
    var hasReviews: Bool { numbers["rouge_1"] != nil }

    /// The recall of a ranking, as `share` gives it.
    ///
    /// - Parameters:
    ///   - cutoff: one of `cutoffs`.
    ///   - suffix: whose ranking it is, as the names end; empty for the model's own.
    /// - Returns: the share of users, and its interval.
    func recall(at cutoff: Int, _ suffix: String) -> Share? { share("recall_\(cutoff)\(suffix)") }

    /// A share and its 95 % interval.
    typealias Share = (share: Double, interval: (low: Double, high: Double)?)

    /// A share by its name, with its 95 % interval as far as it is there.
    func share(_ name: String) -> Share? {
        guard let share = numbers[name] else { return nil }
        guard let low = numbers[name + "_low"], let high = numbers[name + "_high"] else { return (share, nil) }
        return (share, (low, high))
    }
}
