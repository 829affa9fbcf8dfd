import Foundation
import ServiceRuntime
import Testing

@testable import Trainer

/// A report's pages of models that answer: recalls, answers side by side, costs.
@Suite("Report of answers") final class AnswerReportTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "answers-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    // MARK: - Results to show

    private typealias Fields = [String: Any]

    /// A User-LLM's result as earlier versions wrote it, of shares that say which they are.
    private func userLLM(_ change: Fields = [:]) -> Fields {
        var fields: Fields = [
            "bundle": "b0", "commit": "c0", "data_hash": "0123456789abcdef", "items": 3_416,
            "protocol": "leave-one-out", "seed": NSNull(), "split": "test", "users": 1_000,
            "favourite_category_accuracy": 0.768,
            "favourite_category_most_frequent": 0.338,
        ]
        let suffixes = [
            "_late_fusion", "_encoder_head", "_without_user", "_most_popular", "_seen_unfiltered", "", "_fused",
        ]
        for (index, suffix) in suffixes.enumerated() {
            for cutoff in [1, 5, 10] {
                let share = Double(cutoff) / 100 + Double(index) / 1_000
                fields["recall_\(cutoff)\(suffix)"] = share
                fields["recall_\(cutoff)\(suffix)_low"] = share - 0.0021
                fields["recall_\(cutoff)\(suffix)_high"] = share + 0.0032
            }
        }
        return fields.merging(change) { $1 }
    }

    private func textPrompt(_ change: Fields = [:]) -> Fields {
        var fields = userLLM(["strategy": "lora", "context": 2_048, "seed": 7])
        fields["bundle"] = nil
        for name in fields.keys where ["fusion", "fused", "encoder_head"].contains(where: name.contains) {
            fields[name] = nil
        }
        return fields.merging(change) { $1 }
    }

    private func title(_ id: String, _ title: String) -> Fields { ["id": id, "title": title] }

    private func example(_ user: String, truth: Fields, _ answers: [String: [Fields]]) -> Fields {
        let recent = [title("r1", "Before"), title("r2", "Just before")]
        return ["user": user, "recent": recent, "truth": truth, "answers": answers]
    }

    private func write(_ name: String, _ fields: Fields) throws -> String {
        let path = "\(folder)/\(name)"
        try JSONSerialization.data(withJSONObject: fields).write(to: URL(filePath: path))
        return path
    }

    private func page(_ paths: String...) throws -> String {
        _ = try ReportCommand.write(paths, to: folder + "/report.html")
        return try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
    }

    private func message(_ paths: String...) -> String {
        do {
            _ = try ReportCommand.write(paths, to: folder + "/report.html")
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    // MARK: - Recall

    @Test func everyRankingIsARowWithItsNumbers() throws {
        let html = try page(write("eval.json", userLLM()), write("lora.json", textPrompt()))
        #expect(html.contains("<h1>2 results</h1>"))
        for part in ["Runs", "Curves", "Settings"] { #expect(!html.contains("<h2>\(part)</h2>")) }
        #expect(html.contains("test, leave-one-out, 1,000 users, all 3,416 items, data 0123456789ab"))
        func row(_ name: String, _ ranking: String, _ shares: String...) -> Bool {
            let cells = shares.map { share in
                let value = Double(share.filter { $0 != "!" }) ?? -1
                let interval = "\((value - 0.0021).formatted(digits: 3))–\((value + 0.0032).formatted(digits: 3))"
                let text = "\(value.formatted(digits: 4))<span class=\"interval\">\(interval)</span>"
                return "<td class=\"edge\(share.hasSuffix("!") ? " top" : "")\">\(text)</td>"
            }
            let head = "<tr><th scope=\"row\">\(name)</th><td class=\"text soft\">\(ranking)</td>"
            return html.contains(head + cells.joined())
        }
        #expect(row("eval", "User-LLM alone", "0.015", "0.055", "0.105"))
        #expect(row("eval", "fused", "0.016!", "0.056!", "0.106!"))
        #expect(row("eval", "late fusion", "0.010", "0.050", "0.100"))
        #expect(row("eval", "encoder's head", "0.011", "0.051", "0.101"))
        #expect(row("eval", "without user", "0.012", "0.052", "0.102"))
        #expect(row("lora", "text prompt, lora", "0.015", "0.055", "0.105"))
        #expect(row("baseline", "most popular", "0.013", "0.053", "0.103"))
        #expect(html.components(separatedBy: ">most popular<").count == 2, "the same users have one baseline")
        // What is not comparable with the rows above has no best value, for both are equal.
        #expect(row("eval", "User-LLM alone, seen items too", "0.014", "0.054", "0.104"))
        #expect(html.components(separatedBy: "0.7680<span class=\"interval\">0.338</span>").count == 3)
        #expect(html.contains("eval: bundle b0, commit c0"))
        #expect(html.contains("lora: seed 7, commit c0, context of 2048 tokens"))
    }

    // MARK: - Reviews

    private func reviews(_ fields: Fields, _ share: Double) -> Fields {
        var fields = fields.filter { !$0.key.hasPrefix("recall_") && !$0.key.hasPrefix("favourite_") }
        (fields["review_users"], fields["review_tokens"]) = (900, 64)
        for (index, suffix) in ["", "_held_out_phrasing", "_without_user", "_previous_review"].enumerated() {
            for (name, less) in [("rouge_1", 0.0), ("rouge_l", 0.05)] {
                let value = share - Double(index) / 100 - less
                fields[name + suffix] = value
                (fields[name + suffix + "_low"], fields[name + suffix + "_high"]) = (value - 0.01, value + 0.01)
            }
        }
        return fields
    }

    @Test func reviewsHaveATableOfTheirOwn() throws {
        let html = try page(
            write("a.json", reviews(userLLM(), 0.25)),
            write("b.json", reviews(textPrompt(), 0.2)),
            write("titles.json", userLLM())
        )
        func row(_ name: String, _ writer: String, _ one: String, _ longest: String) -> Bool {
            html.contains("<th scope=\"row\">\(name)</th><td class=\"text soft\">\(writer)</td>\(one)\(longest)</tr>")
        }
        func cell(_ share: String, _ interval: String, isTop: Bool = false) -> String {
            "<td class=\"edge\(isTop ? " top" : "")\">\(share)<span class=\"interval\">\(interval)</span></td>"
        }
        let best = (cell("0.2500", "0.240–0.260", isTop: true), cell("0.2000", "0.190–0.210", isTop: true))
        #expect(row("a", "User-LLM alone", best.0, best.1), "\(html)")
        let copied = (cell("0.1700", "0.160–0.180"), cell("0.1200", "0.110–0.130"))
        #expect(row("b", "the user's review before, copied", copied.0, copied.1))
        #expect(
            html.contains(
                "b: seed 7, commit c0, context of 2048 tokens, 900 users with a review, 64 tokens of each compared"
            )
        )
        // Nobody was asked for titles there: no row of recalls, no answers, and nothing said to be missing.
        #expect(html.components(separatedBy: "Recall@10").count == 2)
        #expect(!html.contains("No answers are kept in a,") && html.contains("No answers are kept in titles,"))
    }

    @Test func categoriesMayStandAlone() throws {
        let html = try page(write("c.json", userLLM().filter { !$0.key.hasPrefix("recall_") }))
        #expect(html.contains("0.7680<span class=\"interval\">0.338</span>"))
        #expect(!html.contains("not fused"))
    }

    @Test func othersUsersHaveATableOfTheirOwn() throws {
        let html = try page(write("a.json", userLLM()), write("b.json", userLLM(["users": 20])))
        #expect(html.contains("1,000 users, all") && html.contains(" 20 users, all"))
        #expect(html.components(separatedBy: ">most popular<").count == 3)
    }

    @Test func whatIsMissingIsSaid() throws {
        var fields = userLLM()
        for name in fields.keys where name.contains("fus") || name.hasSuffix("_low") { fields[name] = nil }
        let html = try page(write("old.json", fields))
        #expect(html.contains("<h1>Results of old</h1>"))
        #expect(html.contains("not fused: the bundle has no weights, which trainer fuse PREPARED BUNDLE learns"))
        #expect(!html.contains(">fused</td>") && !html.contains(">late fusion</td>"))
        #expect(html.contains("<td class=\"edge top\">0.0150</td>"), "without an interval")
        #expect(html.contains("No answers are kept in old, written by an earlier version: evaluate again to see them."))
        #expect(html.contains("<code>trainer efficiency PREPARED BUNDLE --json</code> prints a result"))
    }

    @Test func runsSayHowTheyAreEvaluated() throws {
        for kind in ["encoder", "text-prompt", "user-llm", "language-model"] {
            try RunDescription(kind: kind, dataHash: "h", seed: 1, threads: 1).write(to: "\(folder)/\(kind)")
            try Data().write(to: URL(filePath: "\(folder)/\(kind)/training.jsonl"))
        }
        #expect(try page(folder + "/encoder").contains("No run has been evaluated yet: <code>trainer evaluate encoder"))
        let two = try page(folder + "/text-prompt", folder + "/user-llm")
        #expect(two.contains("<code>trainer evaluate text-prompt PREPARED RUN</code> leaves its result"))
        #expect(two.contains("<code>trainer evaluate user-llm PREPARED BUNDLE --json</code> prints a result"))
        #expect(try !page(folder + "/language-model").contains("<h2>Results</h2>"))
        // A result in a run's folder is found, and a User-LLM's beside it.
        _ = try write("text-prompt/evaluation-test-leave-one-out.json", textPrompt())
        let found = try page(folder + "/text-prompt", folder + "/user-llm", write("eval.json", userLLM()))
        #expect(found.contains("<h1>2 trainings, results of eval</h1>"))
        #expect(found.contains("c0\"></span>text-prompt</th><td class=\"text soft\">text prompt, lora</td>"))
        #expect(!found.contains("evaluated yet"))
    }

    @Test func resultsOfOneNameAreCalledByTheirPaths() throws {
        try FileManager.default.createDirectory(atPath: folder + "/x", withIntermediateDirectories: true)
        let paths = try ["eval.json", "x/eval.json", "c.json"].map { try write($0, userLLM()) }
        let html = try page(paths[0], paths[1], paths[2])
        for name in [paths[0], paths[1], "c"] {
            #expect(html.contains("<th scope=\"row\">\(name)</th><td class=\"text soft\">fused</td>"))
        }
    }

    // MARK: - Answers

    @Test func answersStandSideBySideAndTheRightOneIsMarked() throws {
        let (right, wrong) = (title("i1", "Same"), title("i2", "Same"))
        let joined = userLLM([
            "examples": [
                example(
                    "anna",
                    truth: right,
                    ["user_llm": [wrong, right], "fused": [right], "encoder_head": [wrong]]
                ),
                example("ben", truth: title("i9", "Ninth"), ["user_llm": [title("i3", "")]]),
            ]
        ])
        let fourth = example("anna", truth: right, ["text_prompt": [title("i4", "Fourth"), right]])
        let text = textPrompt(["examples": [fourth]])
        let html = try page(write("joined.json", joined), write("lora.json", text))
        let cards = html.components(separatedBy: "<section class=\"card example\">").dropFirst()
        #expect(cards.count == 2)
        let anna = try #require(cards.first { $0.contains("<h3>User anna</h3>") })
        let heads = anna.matches(of: #/class="text">([^<]+)<br><span class="interval">([^<]+)</#)
        let expected = ["text prompt, lora", "User-LLM alone, joined", "fused, joined", "encoder's head, joined"]
        #expect(heads.map { "\($0.1), \($0.2)" } == expected)
        #expect(anna.contains("last events: Before → Just before</p>") && anna.contains("next: <b>Same</b></p>"))
        #expect(
            anna.contains(
                "<td class=\"soft\">1</td><td class=\"text\">Fourth</td><td class=\"text\">Same</td>"
                    + "<td class=\"text right\">✓ Same</td><td class=\"text\">Same</td>"
            )
        )
        #expect(
            anna.contains(
                "<td class=\"soft\">2</td><td class=\"text right\">✓ Same</td><td class=\"text right\">✓ Same</td>"
                    + "<td class=\"text\">–</td><td class=\"text\">–</td>"
            )
        )
        let ben = try #require(cards.first { $0.contains("<h3>User ben</h3>") })
        #expect(ben.contains("<b>Ninth</b>, which no ranking has among these") && !ben.contains("✓"))
        #expect(ben.contains("<td class=\"text\">i3</td>"), "an item without a title is shown by its id")
    }

    @Test func nothingFromOutsideIsMarkup() throws {
        let evil = "<script>alert(\"1\")</script>&\u{202E}"
        let shown = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;\\u202e"
        let fields = userLLM([
            "bundle": evil, "protocol": evil, "split": evil, "data_hash": evil, "commit": evil,
            "examples": [example(evil, truth: title(evil, evil), ["user_llm": [title(evil, evil), title("i", evil)]])],
        ])
        var costs: Fields = ["context": 64, "encoder": evil, evil: evil]
        costs["lengths"] = [["events": 5, "users": 1, "users_with_as_many_events": 1, "text_is_cut": false]]
        let html = try page(
            write("<u>&.json", fields),
            write("<i>.json", textPrompt(["strategy": evil])),
            write("costs.json", costs)
        )
        for text in ["<script", "alert(\"", "<u>", "<i>", "\u{202E}"] { #expect(!html.contains(text), "\(text)") }
        #expect(html.contains("<h3>User \(shown)</h3>") && html.contains("<b>\(shown)</b>"))
        #expect(html.contains("✓ \(shown)</td>") && html.contains("text prompt, \(shown)</td>"))
        #expect(html.contains("encoder: \(shown)") && html.contains("\(shown): \(shown)"))
        for tag in "main section table thead tbody tr td th h2 h3 p b span svg".split(separator: " ") {
            let opened = html.matches(of: try Regex("<\(tag)[ >]")).count
            #expect(opened == html.components(separatedBy: "</\(tag)>").count - 1, "\(tag)")
        }
    }

    @Test func resultsThatContradictEachOtherAreNamed() throws {
        let first = [example("anna", truth: title("i1", "One"), [:])]
        let second = [example("ben", truth: title("i1", "One"), [:]), example("anna", truth: title("i2", "Two"), [:])]
        let one = try write("one.json", userLLM(["examples": first]))
        let found = message(one, try write("two.json", userLLM(["examples": second])))
        #expect(found.contains("two.json: examples[1].truth.id is \"i2\" for the user \"anna\", and \"i1\" in"))
        let others = try write("two.json", userLLM(["examples": second, "data_hash": "ff"]))
        #expect(message(one, others) == "no error")
    }

    // MARK: - Costs

    @Test func costsAreReadAsTheyWereMeasured() throws {
        var short = EfficiencyColumn(events: 50, availableUsers: 9, users: 3)
        var long = EfficiencyColumn(events: 2_000, availableUsers: 1, users: 1)
        long.isTextCut = true
        for (index, metric) in EfficiencyMetric.allCases.enumerated() where metric.quotient == nil {
            short.add(metric, Double(index + 1))
            if metric != .llamaFirst { long.add(metric, Double(index + 2) * 3) }
        }
        var table = EfficiencyTable(settings: [("data hash", "ab"), ("weights", "int8")], columns: [short, long])
        table.columns.append(EfficiencyColumn(events: 9_000, availableUsers: 0, users: 0))
        (table.context, table.longestTimeline) = (8_192, 2_314)
        var report = Report()
        table.add(to: &report)
        report.add("seconds", 1.5)
        let path = folder + "/costs.json"
        try report.json().write(to: URL(filePath: path))
        let read = try EfficiencyTable(ResultFields(contentsOf: path))
        #expect(read.text() == table.text())

        let html = try page(path)
        #expect(html.contains("<h1>Results of costs</h1>") && !html.contains("<h2>Results</h2>"))
        #expect(html.contains("costs: data hash: ab · weights: int8"))
        #expect(html.contains("<th scope=\"col\">50 events</th><th scope=\"col\">2,000 events</th>"))
        let first = try #require(short.value(.textFirst)).formatted(digits: 1)
        let cut = try #require(long.value(.textFirst)).formatted(digits: 1)
        #expect(html.contains("<th scope=\"row\">text</th><td>\(first) s</td><td>*\(cut) s</td><td>-</td>"))
        #expect(html.contains("9000 events: nobody has so many; the longest timeline has 2314"))
        #expect(html.contains("* the last events that fit into the language model's 8192 positions, answer included"))
        let curves = EfficiencyPlot(table: table).charts.reduce(0) { $0 + $1.curves.count }
        #expect(curves > 8 && html.components(separatedBy: "<polyline").count - 1 == curves)
        #expect(html.contains(".c5 { --colour: var(--c5); }"), "every curve has its colour")
        for title in ["Time to the first token, no prefix known", "One more event", "Kept per user"] {
            #expect(html.contains("<h3>\(title)</h3>"))
        }
    }

    @Test(arguments: [0, 1e-300, 1e-12, 1, 1e24])
    func everyCostIsDrawnWithinItsChart(value: Double) throws {
        var length: Fields = ["events": 50, "users": 1, "users_with_as_many_events": 1, "text_is_cut": true]
        for metric in EfficiencyMetric.allCases { length[metric.rawValue] = value }
        length[EfficiencyMetric.freshFirst.rawValue] = 0.5
        let html = try page(write("costs.json", ["context": 8, "lengths": [length]]))
        let points = html.matches(of: #/c[xy]="([^"]*)"/#).map { Double($0.1) ?? .nan }
        #expect(!points.isEmpty && points.allSatisfy((0...480).contains))
        #expect(!html.contains("nan") && !html.contains(">inf"))
    }

    // MARK: - Errors

    @Test(arguments: [
        (#"{"a": 1}"#, "has neither hr_10, nor recall_10, favourite_category_accuracy or rouge_1 with bundle"),
        (#"{"recall_10": 0.5}"#, "has neither hr_10"),
        ("{", "is not what `trainer evaluate` or `trainer efficiency` writes with --json: "),
        ("[]", "an array must be an object"), ("bundle: 5", "is not valid JSON"),
        (#"{"lengths": []}"#, "context is missing"),
        (#"{"context": 8, "lengths": []}"#, "lengths is an array, expected a list of objects"),
        (#"{"context": 8, "lengths": [7]}"#, "lengths[0] is 7, expected an object"),
        (#"{"context": 1e300, "lengths": [{}]}"#, "context is 1e300, expected a whole number from 1 to 2147483647"),
        (#"{"context": 8, "lengths": [{"events": 0}]}"#, "lengths[0].events is 0, expected a whole number from 1 to"),
        (
            #"{"context": 8, "lengths": [{"events": 5, "users": 1, "users_with_as_many_events": 1}]}"#,
            "lengths[0].text_is_cut is missing"
        ),
        (
            #"{"context": 8, "lengths": [{"events": 5, "users": 1, "users_with_as_many_events": 1, "text_is_cut": true, "#
                + #""text_first_token": -1}]}"#,
            "lengths[0].text_first_token is -1, expected a number from 0"
        ),
    ])
    func aFileThatIsNoResultIsNamed(content: String, expected: String) throws {
        let path = folder + "/bad.json"
        try Data(content.utf8).write(to: URL(filePath: path))
        let found = message(path)
        #expect(found.contains("bad.json") && found.contains(expected), "\(found)")
    }

    @Test(arguments: [
        ("recall_5", "1.5", "recall_5 is 1.5, expected a number from 0.0 to 1.0"),
        ("recall_5_fused_low", "\"x\"", "recall_5_fused_low is \"x\", expected a number"),
        ("recall_1", "null", "recall_1 is missing"), ("users", "-3", "users is -3, expected a whole number"),
        ("items", "3000000000", "items is 3000000000, expected a whole number"),
        ("protocol", "[]", "protocol is an array, expected a text"),
        ("data_hash", "null", "data_hash is missing"),
        ("seconds", "3000000000000000", "seconds is 3000000000000000, expected"),
        ("examples", "7", "examples: 7 must be an array"), ("examples", "[{}]", "examples[0]: user is missing"),
        (
            "examples", #"[{"user": "a", "recent": [], "truth": {"id": 5, "title": "t"}, "answers": {}}]"#,
            "examples[0].truth.id: 5 must be a string"
        ),
        (
            "examples", #"[{"user": "a", "recent": [], "truth": {"id": "5", "title": "t"}, "answers": {"other": []}}]"#,
            "examples[0].answers.other: "
        ),
    ])
    func aFieldThatNoEvaluationWritesIsNamed(name: String, value: String, expected: String) throws {
        var fields = userLLM(["examples": []])
        fields[name] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        let found = message(try write("bad.json", fields))
        #expect(found.contains("bad.json: ") && found.contains(expected), "\(found)")
    }

    @Test func whatIsNotThereIsNamed() throws {
        #expect(message(folder + "/none.json").contains("none.json: does not exist"))
        #expect(message(folder + "/none").contains("none holds no training"))
        try Data(count: 1 << 21).write(to: URL(filePath: folder + "/large.json"))
        #expect(message(folder + "/large.json").contains("large.json: has 2097152 bytes, expected at most 1048576"))
    }
}
