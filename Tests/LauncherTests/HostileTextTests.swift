import Foundation
import Bytes
import Messages
import Testing

@testable import Launcher

/// What comes from rows, answers, pages and files, shown to a person at a terminal.
@Suite struct HostileTextTests {
    private static let hostile = "v\u{1B}[2J\u{1B}]0;owned\u{07}\u{9B}31m\n\u{202E}problem: \u{7F}"

    private func hasControls(_ text: String) -> Bool {
        text.unicodeScalars.contains {
            $0 != "\n" && ($0.value < 0x20 || (0x7F...0x9F).contains($0.value) || $0 == "\u{202E}")
        }
    }

    private func report() -> StatusReport {
        StatusReport(
            isUp: true,
            modelVersion: "m",
            gateways: [],
            ingestors: [],
            processes: [
                .init(
                    recorded: .init(
                        name: "encoder-worker",
                        instance: 0,
                        pid: 1,
                        port: nil,
                        adminPort: 2,
                        restarts: .max
                    ),
                    isAlive: true,
                    notReady: Self.hostile
                )
            ],
            lags: [.init(group: Self.hostile, topic: "t", records: .max)],
            rows: (0..<30).map { .init(modelVersion: "\(Self.hostile)\($0)", count: 1) }
                + [.init(modelVersion: String(repeating: "x", count: 100_000), count: 1)],
            freshness: .init(count: .max, p50: .infinity, p99: .nan),
            problems: [Self.hostile]
        )
    }

    @Test func statusShowsItAsNumbersOnOneLineEach() {
        let text = StatusCommand.text(of: report())
        #expect(!hasControls(text))
        #expect(text.contains("v\\u001b[2J\\u001b]0;owned\\u0007\\u009b31m\\n\\u202eproblem: \\u007f"))
        #expect(text.split(separator: "\n").count { $0.hasPrefix("problem: ") } == 1)
        #expect(text.contains("(11 versions more)"))
        #expect(text.utf8.count < 20_000)
    }

    @Test func anAnswerIsShownTheSameWay() {
        let answer = Answer(
            questionID: "q",
            user: .init(Self.hostile),
            status: .failed,
            text: Self.hostile,
            items: [.init(id: "i", title: Self.hostile, score: -.infinity)],
            reason: Self.hostile,
            askedAt: .min,
            answeredAt: .max,
            computeMicroseconds: .max
        )
        let text = AskCommand.text(of: answer)
        #expect(!hasControls(text))
        #expect(text.split(separator: "\n").count == 4, "\(text)")
    }

    @Test func numbersOfAPageMayBeAnything() {
        for value in ["NaN", "+Inf", "-Inf", "1e300", "-1e300", "9223372036854775807", "x", ""] {
            let page = MetricsPage(
                text: """
                    userllm_encoder_worker_partition_lag_records{partition="0"} \(value)
                    userllm_encoder_worker_partition_lag_records{partition="1"} 9223372036854775807
                    userllm_encoder_worker_partition_lag_records{partition="9223372036854775807"} 1
                    userllm_encoder_worker_partition_ready{partition="0"} \(value)
                    userllm_encoder_worker_partition_ready{partition="1"} 1
                    userllm_encoder_worker_partition_ready{partition="9223372036854775807"} 1
                    userllm_encoder_worker_partition_ready{partition="9223372036854775806"} 1
                    userllm_encoder_worker_state_users \(value)
                    userllm_encoder_worker_records_processed_total \(value)
                    userllm_encoder_worker_batch_age_seconds \(value)
                    a_seconds_bucket{le="0.01"} 9223372036854775807
                    a_seconds_bucket{le="\(value)"} 9223372036854775807
                    a_seconds_bucket{le="+Inf"} 9223372036854775807
                    """
            )
            let report = WorkReport(of: .encoderWorker, in: page)
            _ = report.partitionText
            _ = report.lag
            _ = report.restored
            _ = MetricsPage.quantiles(of: "a_seconds", in: [page, page])
        }
        #expect(MetricsPage.whole(.nan) == 0 && MetricsPage.whole(1e300) == .max && MetricsPage.whole(-1e300) == .min)
    }

    @Test func wishesMayHoldAnyNumber() {
        for value in [-.infinity, -1e300, -1, 1e300, .infinity, .nan] {
            let patience = ScaleRequest(id: "a", counts: [:], readyWithin: value).patience
            #expect(patience >= .zero && patience <= .seconds(3_600))
        }
    }

    @Test func aLogLineOfAProcessIsShownWithoutControls() {
        let line = #"{"message":"ended","error":"a\u001b[31m\nb"}"#
        #expect(LogTail.readable(line) == "ended: a\\u001b[31m\\nb")
        #expect(LogTail.readable("\u{1B}c") == "\\u001bc")
    }
}
