/// Tables of what evaluations found.
extension ReportPage {
    private static let measures = [("hr", "HR"), ("ndcg", "NDCG"), ("mrr", "MRR")]
    private static let baseline = "most popular"

    func resultTables() -> String {
        let encoders = evaluations.filter { $0.result.kind == .encoder }
        let tables = Self.grouped(encoders).map(encoderTable).joined()
        let recalls = Self.grouped(answering.filter(\.result.hasKnownAnswers)).map(recallTable).joined()
        let reviews = reviewTables(Self.grouped(answering.filter(\.result.hasReviews)))
        let meaning = """
            <p class="soft small">Recall@k: how many users' next title is among the first k of all, seen items left out. \
            Category: how many favourite categories are right, and how many would be if everybody were given the most frequent \
            one.</p>

            """
        let all = tables + (recalls.isEmpty ? "" : meaning + recalls) + reviews + notEvaluated()
        return all.isEmpty ? "" : "<h2>Results</h2>\n" + all
    }

    /// Evaluations of the same users and items under what they have in common.
    static func grouped(_ evaluations: [Evaluation]) -> [(group: String, evaluations: [Evaluation])] {
        let groups = evaluations.map { group($0.result) }
        return groups.withoutRepetitions.map { group in
            (group, zip(groups, evaluations).filter { $0.0 == group }.map(\.1))
        }
    }

    private static func group(_ result: EvaluationResult) -> String {
        let (texts, items, users) = (result.texts, result.numbers["items"], result.numbers["users"])
        return "\(texts["split"] ?? "?"), \(texts["protocol"] ?? "?"), "
            + "\(users.map { Int($0).grouped } ?? "?") users, all \(items.map { Int($0).grouped } ?? "?") items, "
            + "data \(texts["data_hash"].map { String($0.prefix(12)) } ?? "?")"
    }

    /// A share with its interval, in a cell.
    static func cell(_ share: EvaluationResult.Share?, isTop: Bool) -> String {
        guard let share else { return "<td class=\"edge\">–</td>" }
        let interval = share.interval.map { low, high in
            "<span class=\"interval\">\(low.formatted(digits: 3))–\(high.formatted(digits: 3))</span>"
        }
        return "<td class=\"\(isTop ? "edge top" : "edge")\">\(share.share.formatted(digits: 4))\(interval ?? "")</td>"
    }

    /// How runs that have no result get one.
    private func notEvaluated() -> String {
        let hasUserLLM = evaluations.contains { $0.result.kind == .userLLM }
        let waiting = records.filter { record in
            record.evaluations.isEmpty && !(record.description.kind == "user-llm" && hasUserLLM)
        }
        let ways = waiting.map(\.description.kind).withoutRepetitions.compactMap { kind -> String? in
            switch kind {
            case "encoder", "text-prompt":
                "<code>trainer evaluate \(kind) PREPARED RUN</code> leaves its result in the run's folder"
            case "user-llm":
                "<code>trainer evaluate user-llm PREPARED BUNDLE --json</code> prints a result, a file of which can be "
                    + "named beside the runs"
            default: nil
            }
        }
        if ways.isEmpty { return "" }
        let names = waiting.map(\.name.shownInHTML).joined(separator: ", ")
        let who = evaluations.isEmpty ? "No run has been evaluated yet" : "Not evaluated yet: \(names)"
        return "<p class=\"soft\">\(who): \(ways.joined(separator: "; ")).</p>\n"
    }

    // MARK: - Encoders

    /// One row of an encoder's table.
    private struct Row {
        let head: String
        let note: String
        let values: [Double?]
    }

    /// A table of one kind of evaluation; the best value of each metric is bold, with seen items left out.
    private func encoderTable(_ group: String, _ evaluations: [Evaluation]) -> String {
        func rows(_ note: String, _ suffix: String, baseline: String) -> [Row] {
            func row(_ head: String, _ result: EvaluationResult, _ suffix: String) -> Row {
                let values = Self.measures.flatMap { measure in
                    EvaluationResult.cutoffs.map { result.numbers["\(measure.0)_\($0)\(suffix)"] }
                }
                return Row(head: head, note: note, values: values)
            }
            // The same users and items have one baseline.
            return evaluations.map { row($0.head, $0.result, suffix) }
                + evaluations.prefix(1).map { row(Self.baseline, $0.result, baseline) }
        }
        let parts = [
            rows("seen items left out", "", baseline: "_most_popular"),
            rows("all items", "_seen_unfiltered", baseline: "_most_popular_seen_unfiltered"),
        ]
        let heads = Self.measures.flatMap { measure in
            EvaluationResult.cutoffs.map { cutoff in
                "<th scope=\"col\"\(cutoff == 1 ? " class=\"edge\"" : "")>\(measure.1)@\(cutoff)</th>"
            }
        }
        let lines = parts.flatMap { rows in
            rows.map { row in
                let cells = row.values.enumerated().map { column, value in
                    let isTop = Self.isTop(value, among: rows.map { $0.values[column] })
                    let classes = [column % 3 == 0 ? "edge" : "", isTop ? "top" : ""].filter { !$0.isEmpty }
                    let text = value?.formatted(digits: 4) ?? "–"
                    return #"<td class="\#(classes.joined(separator: " "))">\#(text)</td>"#
                }
                let head = #"<th scope="row">\#(row.head)</th><td class="text soft">\#(row.note)</td>"#
                return "<tr>\(head)\(cells.joined())</tr>"
            }
        }
        let head = "<th scope=\"col\">model</th><th scope=\"col\" class=\"text\">ranked</th>\(heads.joined())"
        return Self.table([group], head: head, lines)
    }

    /// Whether a value is the best of several that differ.
    static func isTop(_ value: Double?, among values: [Double?]) -> Bool {
        let rivals = values.compactMap(\.self)
        guard let value, let least = rivals.min() else { return false }
        return value > least && value == rivals.max()
    }

    /// A table in a card under lines that say what it is about.
    static func table(_ captions: [String], head: String, _ lines: [String], kind: String = "figures") -> String {
        let captions = captions.map { "<p class=\"small soft\">\($0.shownInHTML)</p>" }
        return """
            \(captions.joined(separator: "\n"))
            <div class="card scroll"><table class="\(kind)">
            <thead><tr>\(head)</tr></thead>
            <tbody>
            \(lines.joined(separator: "\n"))
            </tbody></table></div>

            """
    }

    // MARK: - Answers

    /// One row of a table of recalls.
    private struct RecallRow {
        let head: String
        let ranking: String
        let result: EvaluationResult
        /// How the names of its numbers end.
        let suffix: String

        /// Nil where the result does not have this ranking.
        init?(_ head: String, _ ranking: String, _ result: EvaluationResult, _ suffix: String) {
            // Favourite categories may have been asked for alone; they stand in the model's own row.
            guard result.recall(at: 10, suffix) != nil || suffix.isEmpty else { return nil }
            (self.head, self.ranking, self.result, self.suffix) = (head, ranking, result, suffix)
        }

        func share(_ cutoff: Int) -> Double? { result.recall(at: cutoff, suffix)?.share }

        func cell(_ cutoff: Int, isTop: Bool) -> String {
            ReportPage.cell(result.recall(at: cutoff, suffix), isTop: isTop)
        }
    }

    /// How the model's own ranking is called.
    static func own(_ result: EvaluationResult) -> String {
        guard result.kind == .textPrompt else { return "User-LLM alone" }
        return "text prompt" + (result.texts["strategy"].map { ", " + $0.shownInHTML } ?? "")
    }

    /// Recall of every ranking, with seen items left out, and favourite categories; the best recalls are bold.
    private func recallTable(_ group: String, _ evaluations: [Evaluation]) -> String {
        let rankings = [
            ("_fused", "fused"), ("_late_fusion", "late fusion"), ("_encoder_head", "encoder's head"),
            ("_without_user", "without user"),
        ]
        var rows = evaluations.flatMap { evaluation in
            let (head, result) = (evaluation.head, evaluation.result)
            return [RecallRow(head, Self.own(result), result, "")]
                + rankings.map { RecallRow(head, $0.1, result, $0.0) }
        }.compactMap(\.self)
        // The same users and items have one baseline.
        rows += evaluations.compactMap { RecallRow("baseline", Self.baseline, $0.result, "_most_popular") }.prefix(1)
        let unfiltered = evaluations.compactMap { evaluation in
            RecallRow(
                evaluation.head,
                Self.own(evaluation.result) + ", seen items too",
                evaluation.result,
                "_seen_unfiltered"
            )
        }
        let lines = (rows.map { ($0, rows) } + unfiltered.map { ($0, unfiltered) }).map { row, rivals in
            let recalls = EvaluationResult.cutoffs.map { cutoff in
                row.cell(cutoff, isTop: Self.isTop(row.share(cutoff), among: rivals.map { $0.share(cutoff) }))
            }
            let category = row.suffix.isEmpty ? Self.category(row.result) : ""
            let head = "<th scope=\"row\">\(row.head)</th><td class=\"text soft\">\(row.ranking)</td>"
            return "<tr>\(head)\(recalls.joined())<td class=\"edge\">\(category)</td></tr>"
        }
        let heads = EvaluationResult.cutoffs.map {
            "<th scope=\"col\" class=\"edge\">Recall@\($0)<span class=\"interval\">95 %</span></th>"
        }
        let head =
            "<th scope=\"col\">model</th><th scope=\"col\" class=\"text\">ranking</th>\(heads.joined())"
            + "<th scope=\"col\" class=\"edge\">category<span class=\"interval\">most frequent</span></th>"
        return Self.table([group] + evaluations.map(Self.facts), head: head, lines)
    }

    /// The share of right favourite categories, and of those right if everybody is given the most frequent one.
    private static func category(_ result: EvaluationResult) -> String {
        guard let accuracy = result.numbers["favourite_category_accuracy"] else { return "–" }
        let frequent = result.numbers["favourite_category_most_frequent"].map {
            "<span class=\"interval\">\($0.formatted(digits: 3))</span>"
        }
        return accuracy.formatted(digits: 4) + (frequent ?? "")
    }

    /// What a result is of, and what it does not have.
    static func facts(_ evaluation: Evaluation) -> String {
        let result = evaluation.result
        var facts = ["bundle", "seed", "commit"].compactMap { name in result.texts[name].map { "\(name) \($0)" } }
        if let context = result.numbers["context"] { facts.append("context of \(Int(context)) tokens") }
        if result.kind == .userLLM, result.hasTitles {
            if result.recall(at: 10, "_fused") == nil {
                facts.append("not fused: the bundle has no weights, which trainer fuse PREPARED BUNDLE learns")
            } else if result.recall(at: 10, "_late_fusion") == nil {
                facts.append("no late fusion: the bundle has no weight for it")
            }
        }
        return "\(evaluation.name): \(facts.joined(separator: ", "))"
    }
}
