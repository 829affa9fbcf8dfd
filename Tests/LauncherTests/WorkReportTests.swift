import Testing

@testable import Launcher

@Suite struct WorkReportTests {
    private let page = MetricsPage(
        text: """
            # TYPE userllm_encoder_worker_partition_lag_records gauge
            userllm_encoder_worker_partition_lag_records{partition="10"} 7
            userllm_encoder_worker_partition_lag_records{partition="2"} 5
            userllm_encoder_worker_partition_ready{partition="10"} 0
            userllm_encoder_worker_partition_ready{partition="2"} 1
            userllm_encoder_worker_partition_ready{partition="3"} 1
            userllm_encoder_worker_records_processed_total 9
            userllm_encoder_worker_batch_age_seconds 0.25
            userllm_encoder_worker_state_users 1234
            userllm_encoder_worker_state_users_other 9
            """
    )

    @Test func readsAPage() {
        let report = WorkReport(of: .encoderWorker, in: page)
        #expect(
            report.partitions == [
                .init(partition: 2, lag: 5, isReady: true), .init(partition: 3, lag: nil, isReady: true),
                .init(partition: 10, lag: 7, isReady: false),
            ]
        )
        #expect(report.lag == 12 && report.users == 1_234 && report.batchAge == 0.25 && report.eventToRow == nil)
        #expect(report.restored == "2 of 3")
        #expect(report.partitionText == "2-3, 10")
    }

    @Test func aPageOfAnotherServiceSaysNothing() {
        let report = WorkReport(of: .embeddingWriter, in: page)
        #expect(report.partitions == [] && report.lag == nil && report.users == nil && report.batchAge == nil)
        #expect(report.partitionText == "none" && report.restored == "-")
    }

    @Test func manyPartitionsFitTheLine() {
        let lines = (0..<500).map { #"userllm_encoder_worker_partition_ready{partition="\#($0 * 2)"} 1"# }
        let report = WorkReport(of: .encoderWorker, in: MetricsPage(text: lines.joined(separator: "\n")))
        #expect(report.partitionText == "0, 2, 4, 6, ... (500 in all)")
        #expect(report.restored == "yes")
    }

    @Test func saysWhatAPageOfReadinessWaitsFor() {
        let page = #"{"status":"not ready","conditions":{"b":"no \"room\"","a":"ok","c":"away"}}"#
        #expect(Readiness.unmet(in: page) == "no \"room\"; away")
        #expect(Readiness.unmet(in: "<html>") == nil)
    }

    @Test func whatWasSentOnIsSaidWithTheWayOut() {
        let lines = [
            "userllm_encoder_worker_records_rerouted_total{reason=\"partition\"} 12",
            "userllm_encoder_worker_records_rerouted_total{reason=\"keyless\"} 3",
        ]
        let report = WorkReport(of: .encoderWorker, in: MetricsPage(text: lines.joined(separator: "\n")))
        let advice = StatusCommand.reroutingAdvice([report, report])
        #expect(advice?.contains("6 by having no key, 24 by their producer's partitioner") == true)
        #expect(advice?.contains("partitioner=murmur2_random") == true)
        #expect(StatusCommand.reroutingAdvice([]) == nil)
    }
}
