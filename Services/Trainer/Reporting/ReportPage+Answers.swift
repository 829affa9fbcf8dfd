import Bytes
import ServiceRuntime

/// Users' answers side by side.
extension ReportPage {
    /// One ranking of one evaluation, a column of each user's table.
    private struct Column {
        let name: String
        let ranking: AnswerRanking
        let examples: [UserID: AnswerExample]

        var label: String {
            switch ranking {
            case .textPrompt: "text prompt"
            case .userLLM: "User-LLM alone"
            case .fused: "fused"
            case .encoderHead: "encoder's head"
            }
        }
    }

    /// Refuses results of the same data that do not agree on what a user had next.
    ///
    /// - Throws: `ProcessFailure` naming both files, the field and the user.
    func checkExamples() throws {
        var known: [TextKey: [UserID: (item: ItemID, file: String)]] = [:]
        for result in answering.map(\.result) {
            let data = TextKey(result.texts["data_hash"] ?? "")
            for (index, example) in result.examples.enumerated() {
                let first = known[data]?[example.user]
                guard let first, first.item != example.truth.id else {
                    known[data, default: [:]][example.user] = (example.truth.id, result.file)
                    continue
                }
                throw ProcessFailure(
                    "\(result.file): examples[\(index)].truth.id is \"\(example.truth.id)\" for the user "
                        + "\"\(example.user)\", and \"\(first.item)\" in \(first.file), though data_hash is the same; "
                        + "evaluate again, or leave one of them out",
                    exitCode: .badInput
                )
            }
        }
    }

    func answerCards() -> String {
        let answering = answering.filter(\.result.hasTitles)
        if answering.isEmpty { return "" }
        let shown = answering.filter { !$0.result.examples.isEmpty }
        let silent = answering.filter { $0.result.examples.isEmpty }.map(\.name.shownInHTML)
        var html = "<h2>Answers side by side</h2>\n"
        if !silent.isEmpty {
            html += """
                <p class="soft">No answers are kept in \(silent.joined(separator: ", ")), written by an earlier version: \
                evaluate again to see them.</p>

                """
        }
        for data in shown.map({ TextKey($0.result.texts["data_hash"] ?? "") }).withoutRepetitions {
            html += users(of: shown.filter { TextKey($0.result.texts["data_hash"] ?? "") == data }, data)
        }
        return html
    }

    /// All users of some evaluations of the same data.
    private func users(of evaluations: [Evaluation], _ data: TextKey) -> String {
        let columns = AnswerRanking.allCases.flatMap { ranking in
            evaluations.compactMap { evaluation -> Column? in
                let examples = evaluation.result.examples.filter { $0.answers[ranking]?.isEmpty == false }
                if examples.isEmpty { return nil }
                let ofUser = Dictionary(examples.map { ($0.user, $0) }) { first, _ in first }
                return Column(name: evaluation.name, ranking: ranking, examples: ofUser)
            }
        }
        let all = evaluations.flatMap(\.result.examples)
        let first = Dictionary(all.map { ($0.user, $0) }) { first, _ in first }
        let users = all.map(\.user).withoutRepetitions.compactMap { first[$0] }
        return """
            <p class="soft small">\(users.count) users spread over all, data \(String(data.text.prefix(12)).shownInHTML): the \
            first titles of each ranking, without items the user has already had. ✓ marks what the user had next.</p>
            \(users.map { card($0, columns) }.joined(separator: "\n"))
            """
    }

    private func card(_ example: AnswerExample, _ columns: [Column]) -> String {
        let rankings = columns.map { $0.examples[example.user]?.answers[$0.ranking] ?? [] }
        let heads = columns.map { column in
            "<th scope=\"col\" class=\"text\">\(column.label)<br>"
                + "<span class=\"interval\">\(column.name.shownInHTML)</span></th>"
        }
        let lines = (0..<(rankings.map(\.count).max() ?? 0)).map { place in
            let cells = rankings.map { ranking in
                guard place < ranking.count else { return "<td class=\"text\">–</td>" }
                let title = Self.title(ranking[place])
                let isRight = ranking[place].id == example.truth.id
                return isRight ? "<td class=\"text right\">✓ \(title)</td>" : "<td class=\"text\">\(title)</td>"
            }
            return "<tr><td class=\"soft\">\(place + 1)</td>\(cells.joined())</tr>"
        }
        let isFound = rankings.contains { $0.contains { $0.id == example.truth.id } }
        let recent = example.recent.map(Self.title).joined(separator: " → ")
        return """
            <section class="card example"><h3>User \(example.user.text.shownInHTML)</h3>
            <p class="small soft">last events: \(recent.isEmpty ? "not kept" : recent)</p>
            <p class="small">next: <b>\(Self.title(example.truth))</b>\(isFound ? "" : ", which no ranking has among these")</p>
            <div class="scroll"><table class="titles">
            <thead><tr><th scope="col">#</th>\(heads.joined())</tr></thead>
            <tbody>
            \(lines.joined(separator: "\n"))
            </tbody></table></div></section>
            """
    }

    /// An item's title, or its id if it has none.
    private static func title(_ item: AnswerExample.Title) -> String {
        (item.title.isEmpty ? item.id.text : item.title).shownInHTML
    }
}
