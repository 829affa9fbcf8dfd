import Datasets
import Foundation
import ModelFiles
import ServiceRuntime
import Testing
import UserModels

@testable import Trainer

@Suite("What users' contexts cost", .serialized)
struct EfficiencyTests {
    /// A world with a bundle of a trained encoder and a small language model.
    private func withBundle(
        _ change: (inout BundleCommand.Settings) -> Void = { _ in },
        _ body: (World, ModelBundle) throws -> Void
    ) throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 1)
        var settings = BundleCommand.Settings(
            encoder: world.folder + "/encoder",
            languageModel: publishedGGUF("qwen2-q4_0")
        )
        (settings.adapter.latents, settings.adapter.first) = (4, 1)
        (settings.adapter.heads, settings.adapter.innerWidth) = (2, 16)
        change(&settings)
        try body(world, BundleCommand.write(world.dataset, settings, to: world.folder + "/bundle"))
    }

    private func measured(_ world: World, _ bundle: ModelBundle, _ lengths: [Int]) throws -> EfficiencyTable {
        var settings = EfficiencySettings()
        (settings.lengths, settings.users, settings.rounds) = (lengths, 2, 2)
        return try EfficiencyCommand.measure(bundle, world.dataset, settings, until: Shutdown())
    }

    @Test func everyLineHasItsFigure() throws {
        try withBundle({ $0.adapter.reach = .lastPromptToken }) { world, bundle in
            let table = try measured(world, bundle, [2, 4, 500])
            #expect(table.columns.map(\.users) == [2, 2, 0])
            #expect(table.columns[0].availableUsers == world.dataset.users.count)
            let llama: Set<EfficiencyMetric> = [.llamaFirst, .llama64, .llamaFirstRatio]
            for column in table.columns.prefix(2) {
                for metric in EfficiencyMetric.allCases {
                    let isThere = !llama.contains(metric) && (!metric.isExtrapolated || column.isTextCut)
                    #expect((column.value(metric) != nil) == isThere, "\(metric)")
                }
            }
            #expect(EfficiencyMetric.allCases.allSatisfy { table.columns[2].value($0) == nil })
            let text = table.text()
            #expect(text.contains("500 events: nobody has so many; the longest timeline has"))
            #expect(text.contains("accuracy is not measured here"))

            // Figures that need no clock, worked out another way.
            let (short, long) = (table.columns[0], table.columns[1])
            let shape = bundle.configuration
            let tokens = try #require(short.value(.questionTokens))
            #expect(tokens == Double(bundle.format.prompt(UserTask.nextTitle.trainingPhrasings[0]).count))
            #expect(long.value(.questionTokens) == tokens && long.value(.rowFLOPs) == short.value(.rowFLOPs))
            #expect(long.value(.rowBytes) == Double(5 * shape.encoder.width * 4))
            for column in [short, long] {
                let encoder = shape.encoder.multiplyAdds(events: column.events)
                let perceiver = shape.adapter.perceiver.multiplyAdds(events: column.events)
                let (fresh, row) = (try #require(column.value(.freshFLOPs)), try #require(column.value(.rowFLOPs)))
                #expect(fresh - row == 2 * Double(encoder + perceiver))
                let ratio = try #require(column.value(.textFLOPs)) / fresh
                #expect(column.value(.freshFLOPsRatio) == ratio)
            }
            #expect(try #require(long.value(.textTokens)) > (try #require(short.value(.textTokens))))
            // The small model has room for less than four events.
            let read = try #require(long.value(.textEventsRead))
            #expect(long.isTextCut && read < 4)
            #expect(try #require(long.value(.wholeTextFLOPs)) > (try #require(long.value(.textFLOPs))))
        }
    }

    @Test func withoutASharedQuestionItSaysSo() throws {
        try withBundle({ $0.adapter.reach = .firstToken }) { world, bundle in
            let table = try measured(world, bundle, [3])
            #expect(table.columns[0].value(.knownRowFirst) == nil && table.columns[0].value(.rowFirst) != nil)
            #expect(table.text().contains("--context-from"))
        }
        try withBundle({ $0.adapter.kind = .softPrompt }) { world, bundle in
            let table = try measured(world, bundle, [3])
            #expect(table.columns[0].value(.knownRowFirst) == nil && table.columns[0].value(.row64) != nil)
        }
    }

    @Test func lengthsThatNobodyHasAreRefused() throws {
        try withBundle { world, bundle in
            let error = #expect(throws: ProcessFailure.self) { try measured(world, bundle, [900, 400]) }
            let text = "\(error.map { "\($0)" } ?? "")"
            #expect(text.contains("the shortest of --lengths is 400") && text.contains("the longest timeline"))
        }
    }

    @Test(arguments: [
        ("0", "\"0\" is not allowed"), ("", "\"\" is not allowed"), ("5,x", "\"x\" is not allowed"),
        ("5,-1", "\"-1\" is not allowed"), ("70000", "expected numbers from 1 to 65536"), ("5, 5", "5 is given twice"),
        ("99999999999999999999", "is not allowed"),
    ])
    func badLengthsAreNamed(text: String, message: String) {
        let error = #expect(throws: ConfigurationError.self) { try EfficiencyCommand.numbers(text) }
        #expect("\(error.map { "\($0)" } ?? "")".contains(message))
    }

    @Test func goodLengthsAreRead() throws {
        #expect(try EfficiencyCommand.numbers("50, 100,2000") == [50, 100, 2000])
    }

    // MARK: - Arithmetic

    private func column(_ events: Int, isCut: Bool = false, _ values: [EfficiencyMetric: [Double]]) -> EfficiencyColumn
    {
        var column = EfficiencyColumn(events: events, availableUsers: 9, users: 3)
        column.isTextCut = isCut
        for (metric, numbers) in values { for number in numbers { column.add(metric, number) } }
        return column
    }

    @Test func aFigureIsTheMedianAndARatioThatOfMedians() {
        let found = column(50, [.textFirst: [3, 1, 8], .freshFirst: [0.5, 0.25], .rowFirst: [0]])
        #expect(found.value(.textFirst) == 3 && found.value(.freshFirst) == 0.375)
        #expect(found.value(.freshFirstRatio) == 8)
        // Nothing is divided by nothing.
        #expect(found.value(.rowFirstRatio) == nil && found.value(.text16) == nil && found.value(.eventRatio) == nil)
        #expect(EfficiencyColumn.median([]) == nil)
    }

    @Test func aTextThatIsCutIsExtrapolatedByItsOperations() {
        let values: [EfficiencyMetric: [Double]] = [
            .textFirst: [2], .textFLOPs: [10], .wholeTextFLOPs: [35], .freshFLOPs: [5], .freshFirst: [0.5],
        ]
        let whole = column(50, values)
        #expect(whole.value(.wholeTextFirst) == nil && whole.value(.wholeFLOPsRatio) == nil)
        let cut = column(50, isCut: true, values)
        #expect(cut.value(.wholeTextFirst) == 7 && cut.value(.wholeFirstRatio) == 14)
        #expect(cut.value(.wholeFLOPsRatio) == 7 && cut.value(.freshFLOPsRatio) == 2)
    }

    @Test func theTableMarksWhatIsCutAndWhatIsNotMeasured() {
        var table = EfficiencyTable()
        table.context = 8_192
        table.columns = [
            column(50, [.textFirst: [0.25], .freshFirst: [0.03], .rowBytes: [4_352], .textFLOPs: [2.5e11]]),
            column(
                2_000,
                isCut: true,
                [
                    .textFirst: [12], .freshFirst: [0.04], .textFLOPs: [4e12], .wholeTextFLOPs: [16e12],
                    .textTokens: [31_000],
                ]
            ),
        ]
        let lines = table.text().split(separator: "\n").map { line in
            line.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
        }
        #expect(lines.contains("text 250 ms *12.0 s"))
        #expect(lines.contains("text of all events, extrapolated - ~48.0 s"))
        #expect(lines.contains("embedding, encoder's work included 30.0 ms 40.0 ms"))
        #expect(lines.contains("text : embedding, encoder included 8.33 *300"))
        #expect(lines.contains("text: operations 250 G *4.00 T"))
        #expect(lines.contains("embedding: the row 4.25 KiB -"))
        #expect(lines.contains("text: tokens of all events - 31000"))
        #expect(lines.contains { $0.hasPrefix("* the last events that fit into the language model's 8192 positions") })
        #expect(!lines.contains { $0.contains("llama.cpp") })
    }

    @Test func jsonHasEveryKeyAndNullForWhatIsMissing() throws {
        var table = EfficiencyTable(settings: [("data hash", "ab")], columns: [column(50, [.textFirst: [0.25]])])
        table.context = 64
        var report = Report()
        table.add(to: &report)
        let object = try #require(try JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
        #expect(object["data_hash"] as? String == "ab" && object["context"] as? Int == 64)
        let length = try #require((object["lengths"] as? [[String: Any]])?.first)
        #expect(length["events"] as? Int == 50 && length["text_is_cut"] as? Bool == false)
        #expect(length["text_first_token"] as? Double == 0.25 && length["row_bytes"] is NSNull)
        #expect(Set(EfficiencyMetric.allCases.map(\.rawValue)).isSubset(of: length.keys))
    }

    @Test func everyLineIsInOneSection() {
        let metrics = EfficiencyMetric.sections.flatMap(\.metrics)
        #expect(metrics.count == EfficiencyMetric.allCases.count && Set(metrics) == Set(EfficiencyMetric.allCases))
        #expect(EfficiencyMetric.allCases.allSatisfy { ($0.quotient != nil) == ($0.unit == .ratio) })
    }

    // MARK: - llama.cpp

    @Test func theBestTimesOfLlamaBenchCount() throws {
        let output = #"""
            [{"n_prompt": 512, "n_gen": 0, "avg_ns": 900000000, "avg_ts": 1}, {"n_prompt": 0, "n_gen": 64, "avg_ns": 500000000},
             {"n_prompt": 512, "n_gen": 0, "avg_ns": 600000000, "flash_attn": true}, {"n_prompt": 0, "n_gen": 64, "avg_ns": 700000000}]
            """#
        #expect(try LlamaBench.times(Data(output.utf8)) == .init(reading: 0.6, writing: 0.5))
        for bad in ["", "[]", "{}", #"[{"n_prompt": 5, "n_gen": 0, "avg_ns": 1}]"#] {
            #expect(throws: ProcessFailure.self) { try LlamaBench.times(Data(bad.utf8)) }
        }
    }

    @Test func llamaBenchIsAskedForAsManyTokens() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "llama-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder + "/bin", withIntermediateDirectories: true)
        func write(_ script: String) throws {
            let path = folder + "/bin/llama-bench"
            try Data(("#!/bin/sh\n" + script).utf8).write(to: URL(fileURLWithPath: path))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        }
        func failure(_ body: () throws -> Void) -> String {
            let error = #expect(throws: ProcessFailure.self) { try body() }
            return "\(error.map { "\($0)" } ?? "")"
        }
        #expect(
            failure { _ = try LlamaBench(folder: folder, models: [], threads: 1) }.contains(
                "has no program llama-bench"
            )
        )
        // Nanoseconds that tell what was asked for: -m FILE -t THREADS -p PROMPT -n ANSWER.
        try write(
            #"echo "[{\"n_prompt\":$6,\"n_gen\":0,\"avg_ns\":$6e9},{\"n_prompt\":0,\"n_gen\":$8,\"avg_ns\":$8e9}]""#
        )
        #expect(failure { _ = try LlamaBench(folder: folder, models: ["/no.gguf"], threads: 1) }.contains("/no.gguf"))
        let bench = try LlamaBench(folder: folder, models: [folder], threads: 2)
        func times(_ tokens: Int, until shutdown: Shutdown = Shutdown()) throws -> LlamaBench.Times {
            try bench.times(promptTokens: tokens, answerTokens: 64, until: shutdown)
        }
        #expect(try times(700) == .init(reading: 700, writing: 64))
        try write("exit 3")
        #expect(failure { _ = try times(1) }.contains("ended with code 3"))
        // One that would take an hour is ended.
        try write("exec sleep 3600")
        let shutdown = Shutdown()
        shutdown.request()
        #expect(failure { _ = try times(1, until: shutdown) }.contains("interrupted while llama.cpp was measured"))
    }

    // MARK: - Picture

    @Test func thePictureHasACurveForEachLine() throws {
        let table = EfficiencyTable(columns: [
            column(
                2_000,
                isCut: true,
                [.textFirst: [12], .textFLOPs: [4e12], .wholeTextFLOPs: [16e12], .rowBytes: [4_352]]
            ),
            column(50, [.textFirst: [0.25], .freshFirst: [0.03], .rowBytes: [4_352], .textFLOPs: [2.5e11]]),
        ])
        let svg = EfficiencyPlot(table: table).svg()
        #expect(svg.components(separatedBy: "<polyline").count - 1 == 6)
        #expect(svg.components(separatedBy: "<circle").count - 1 == 9)
        for tag in ["svg", "text", "title", "circle", "style"] {
            let opened = svg.matches(of: try Regex("<\(tag)[ >]")).count
            #expect(opened == svg.components(separatedBy: "</\(tag)>").count - 1, "\(tag)")
        }
        for title in ["Time to the first token", "Operations", "One more event", "Kept per user"] {
            #expect(svg.contains(title))
        }
        #expect(!svg.contains("NaN") && !svg.contains("nan") && !svg.contains("inf"))
        #expect(svg.contains(">2000</text>") && svg.contains("events of the timeline"))
        // An empty table is drawn too.
        #expect(EfficiencyPlot(table: EfficiencyTable()).svg().hasSuffix("</svg>\n"))
    }

    @Test func logarithmicAxesHaveEqualStepsForEqualFactors() {
        let lengths = Axis(values: [50, 100, 200, 50])
        #expect(lengths.ticks == [50, 100, 200])
        #expect(abs(lengths.share(100) - 0.5) < 1e-12 && lengths.share(50) == 0 && lengths.share(200) == 1)
        let powers = Axis(logarithmic: 3, 2_000)
        #expect(powers.ticks == [1, 10, 100, 1_000, 10_000])
        #expect(abs(powers.share(100) - 0.5) < 1e-12)
        #expect(powers.text(1_000) == "1000" && powers.text(0.1) == "0.1" && powers.precise(12_345) == "12.3k")
        #expect(Axis(logarithmic: 10, 10).ticks == [10, 100] && Axis(values: [7]).share(7) == 0.5)
    }
}
