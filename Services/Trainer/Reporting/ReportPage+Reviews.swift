/// Tables of how near reviews came to what users wrote.
extension ReportPage {
    private static let scores = [("rouge_1", "ROUGE-1"), ("rouge_l", "ROUGE-L")]
    /// Whose reviews are compared, and how the names of their scores end.
    private static let writers = [
        ("_held_out_phrasing", "asked in words it was not trained with"), ("_without_user", "without user"),
        ("_previous_review", "the user's review before, copied"),
    ]

    /// The tables of evaluations that asked for reviews; empty where none did.
    func reviewTables(_ groups: [(group: String, evaluations: [Evaluation])]) -> String {
        if groups.isEmpty { return "" }
        let meaning = """
            <p class="soft small">ROUGE: the F1 of words (1) and of the longest common subsequence of words (L) with what the \
            user wrote, means over users who wrote something.</p>

            """
        return meaning + groups.map(reviewTable).joined()
    }

    private func reviewTable(_ group: String, _ evaluations: [Evaluation]) -> String {
        let rows = evaluations.flatMap { evaluation in
            ([("", Self.own(evaluation.result))] + Self.writers).map { (evaluation, $0.0, $0.1) }
        }
        let lines = rows.map { evaluation, suffix, writer in
            let cells = Self.scores.map { name, _ in
                let rivals = rows.map { $0.0.result.share(name + $0.1)?.share }
                let share = evaluation.result.share(name + suffix)
                return Self.cell(share, isTop: Self.isTop(share?.share, among: rivals))
            }
            return
                "<tr><th scope=\"row\">\(evaluation.head)</th><td class=\"text soft\">\(writer)</td>\(cells.joined())</tr>"
        }
        let heads = Self.scores.map {
            "<th scope=\"col\" class=\"edge\">\($0.1)<span class=\"interval\">95 %</span></th>"
        }
        let head = "<th scope=\"col\">model</th><th scope=\"col\" class=\"text\">review</th>\(heads.joined())"
        let facts = evaluations.map { evaluation in
            let (users, tokens) = (
                evaluation.result.numbers["review_users"], evaluation.result.numbers["review_tokens"]
            )
            return Self.facts(evaluation) + (users.map { ", \(Int($0).grouped) users with a review" } ?? "")
                + (tokens.map { ", \(Int($0)) tokens of each compared" } ?? "")
        }
        return Self.table([group] + facts, head: head, lines)
    }
}
