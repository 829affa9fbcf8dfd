import Datasets
import Foundation
import Bytes
import ServiceRuntime
import Testing

@testable import Trainer

@Suite("Report of trainings", .serialized)
struct ReportTests {
    private func page(_ world: World, _ runs: String...) throws -> String {
        let path = world.folder + "/report.html"
        _ = try ReportCommand.write(runs.map { "\(world.folder)/\($0)" }, to: path)
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    private func trained() throws -> World {
        let world = try World()
        for (name, rate) in [("a<b>&c", Float(2e-3)), ("second", 1e-3)] {
            _ = try world.train(name, steps: 8) { settings in
                settings.options.learningRate = rate
                settings.options.validations = 4
                settings.options.settings = ["learning-rate": "\(rate)", "steps": "8"]
            }
        }
        _ = try EvaluateEncoderCommand.evaluate(
            world.folder + "/second",
            world.dataset,
            split: .test,
            by: nil,
            threads: 2
        )
        return world
    }

    @Test func aPageNeedsNothingElseAndIsWellFormed() throws {
        let world = try trained()
        defer { world.remove() }
        let html = try page(world, "a<b>&c", "second")
        for forbidden in ["<script", "<link", "<img", "src=", "href=", "@import", "url("] {
            #expect(!html.contains(forbidden), "\(forbidden)")
        }
        let tags = "main section table thead tbody tr td th svg text p ul li code".split(separator: " ")
        for tag in tags {
            let opened = html.matches(of: try Regex("<\(tag)[ >]")).count
            #expect(opened == html.components(separatedBy: "</\(tag)>").count - 1, "\(tag)")
        }
        #expect(html.contains("a&lt;b&gt;&amp;c") && !html.contains("a<b>&c"))
        #expect(html.contains("prefers-color-scheme: dark"))
    }

    @Test func itHasTheCurvesTheResultsAndTheSettings() throws {
        let world = try trained()
        defer { world.remove() }
        let html = try page(world, "a<b>&c", "second")
        for title in ["Training loss", "Validation HR@10", "Learning rate", "Speed"] {
            #expect(html.contains("<h3>\(title)</h3>"))
        }
        #expect(html.components(separatedBy: "<polyline").count - 1 == 8, "four charts of two runs")
        let evaluation = try #require(TrainingRecord(folder: world.folder + "/second").evaluations.first)
        for measure in ["hr_10", "ndcg_5", "mrr_1", "hr_10_seen_unfiltered", "ndcg_10_most_popular"] {
            #expect(html.contains(try #require(evaluation.numbers[measure]).formatted(digits: 4)), "\(measure)")
        }
        #expect(html.contains("most popular"))
        #expect(html.contains(world.dataset.dataHash.prefix(16)))
        #expect(html.contains(#"<td class="text differs"><code>0.002</code></td>"#), "what differs is marked")
        #expect(html.contains(#"<td class="text"><code>8</code></td>"#), "what is the same is not")

        let alone = try page(world, "a<b>&c")
        #expect(alone.contains("<h1>Training of a&lt;b&gt;&amp;c</h1>"))
        #expect(alone.contains("No run has been evaluated yet"))
    }

    @Test func runsOfOneNameAreCalledByTheirPaths() throws {
        let world = try World()
        defer { world.remove() }
        for name in ["x/run", "y/run", "z/other"] { _ = try world.train(name, steps: 1) }
        let folders = ["x/run", "y/run", "z/other"].map { "\(world.folder)/\($0)" }
        #expect(try TrainingRecord.read(folders).map(\.name) == [folders[0], folders[1], "other"])
    }

    @Test func whatIsMissingOrBrokenIsNamed() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("run", steps: 1)
        func failure(_ run: String) throws -> String {
            let error = #expect(throws: ProcessFailure.self) { try page(world, run) }
            return try #require(error).description
        }
        #expect(try failure("nowhere").contains("nowhere holds no training, it has no run.json"))
        try Data("{".utf8).write(to: URL(fileURLWithPath: world.folder + "/run/evaluation-test-window.json"))
        #expect(try failure("run").contains("evaluation-test-window.json is not what"))
        try FileManager.default.removeItem(atPath: world.folder + "/run/training.jsonl")
        #expect(try failure("run").contains("training.jsonl: does not exist"))
        try Data("[]".utf8).write(to: URL(fileURLWithPath: world.folder + "/run/run.json"))
        #expect(try failure("run").contains("run.json is not what the trainer writes"))
    }

    @Test func axesHaveRoundNumbersAroundAllValues() {
        let loss = Axis(4.62, 6.08, ticks: 5)
        #expect(loss.ticks.map(loss.text) == ["4.5", "5.0", "5.5", "6.0", "6.5"])
        #expect(loss.precise(4.70361) == "4.704")
        let rate = Axis(0, 0.002, ticks: 5)
        #expect(rate.ticks.map(rate.text) == ["0", "0.0005", "0.0010", "0.0015", "0.0020"])
        #expect(rate.precise(4e-5) == "4e-5")
        let speed = Axis(0, 138_000, ticks: 5)
        #expect(speed.ticks.map(speed.text) == ["0", "50k", "100k", "150k"])
        let steps = Axis(steps: 1_200)
        #expect(steps.ticks == [0, 500, 1_000] && steps.share(1_200) == 1)
        for flat in [0, 0.25, -6.5] {
            let axis = Axis(flat, flat, ticks: 5)
            #expect((0...1).contains(axis.share(flat)), "\(flat)")
        }
    }

    @Test func aLongCurveIsThinnedToItsMeans() {
        let points = (0..<24_000).map { Chart.Point(x: Double($0), y: $0 % 2 == 0 ? 1 : 3) }
        let thinned = Chart.thinned(points)
        #expect(thinned.count == 240 && thinned.allSatisfy { $0.y == 2 })
        #expect(Chart.thinned(Array(points.prefix(240))).count == 240)
    }

    @Test func everyPointLiesWithinThePicture() throws {
        let chart = Chart(
            title: "t",
            subtitle: "s",
            curves: (0..<9).map { run in
                let points = (1...50).map { Chart.Point(x: Double($0 * run), y: sin(Double($0))) }
                return Chart.Curve(name: "r\(run)", index: run, points: points)
            }
        )
        for match in chart.svg().matches(of: #/(\d+\.\d),(-?\d+\.\d)/#) {
            #expect((0...480).contains(try #require(Double(match.1))))
            #expect((0...270).contains(try #require(Double(match.2))))
        }
    }
}
