import Foundation
import JSON
import Messages
import ServiceRuntime

/// `benchmarks json`: events read from JSON in process, as the door and the workers do, beside Foundation's decoder.
enum JSONCommand {
    private static let roundsKey = ConfigurationKey<Int>("rounds", default: 7, in: 1...1_000, help: "Rounds of each")
    private static let eventsKey = ConfigurationKey<Int>(
        "events",
        default: 20_000,
        in: 1...10_000_000,
        help: "Events of a round"
    )

    /// The same fields, for Foundation to read.
    private struct Form: Decodable {
        let user: String
        let item: String
        let rating: Float?
        let type: String?
        let categories: [String]?
        let text: String?
        let time: Int64?
    }

    /// The command as the program lists it.
    static let command = Command(
        "json",
        summary: "Reads events from JSON in process",
        keys: [roundsKey, eventsKey, BenchmarkTable.jsonKey]
    ) { context in
        let reader = context.configuration
        let rounds = try reader.value(of: roundsKey)
        let count = try reader.value(of: eventsKey)
        var table = BenchmarkTable(benchmark: "json", settings: ["rounds": "\(rounds) of \(count) events"])
        for (what, lines) in kinds {
            var ours: [Double] = []
            var theirs: [Double] = []
            let byteCount = Double(lines.reduce(0) { $0 + $1.count }) / Double(lines.count)
            for _ in 0..<rounds {
                ours.append(
                    try rate(count) { index in
                        _ = try Event(decoding: lines[index % lines.count], contentType: nil)
                    }
                )
                theirs.append(
                    try rate(count / 10 + 1) { index in
                        _ = try JSONDecoder().decode(Form.self, from: Data(lines[index % lines.count]))
                    }
                )
            }
            let name = "\(what), \(Int(byteCount)) bytes"
            table.rows.append(.init(name, median(ours), "events/s", against: ("JSONDecoder", median(theirs))))
        }
        try table.show(reader)
    }

    private static let kinds: [(String, [[UInt8]])] = [
        (
            "five fields",
            lines {
                #"{"item":"m\#($0)","rating":\#($0 % 5 + 1),"time":\#(1_700_000_000_000 + $0),"type":"rating","user":"u\#($0)"}"#
            }
        ),
        (
            "with categories",
            lines {
                #"{"user":"u\#($0)","item":"B00\#($0)","time":\#(1_700_000_000_000 + $0),"rating":4.5,"categories":["Action","Sci-Fi"]}"#
            }
        ),
        (
            "with a text",
            lines {
                let text = String(repeating: "Worth seeing. ", count: 28)
                return #"{"user":"u\#($0)","item":"B00\#($0)","time":\#(1_700_000_000_000 + $0),"text":"\#(text)"}"#
            }
        ),
    ]

    private static func lines(_ line: (Int) -> String) -> [[UInt8]] { (0..<1_000).map { Array(line($0).utf8) } }

    private static func rate(_ count: Int, _ body: (Int) throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        for index in 0..<count { try body(index) }
        return Double(count) / ((ContinuousClock.now - start) / .seconds(1))
    }
}
