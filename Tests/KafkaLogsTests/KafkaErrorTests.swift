import CRdkafka
import MessageLogs
import Testing

@testable import KafkaLogs

@Suite struct KafkaErrorTests {
    @Test func namesOperationReasonAndCode() {
        let error = KafkaError(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, operation: "commit")
        #expect(error.description.hasPrefix("commit: "))
        #expect(error.description.contains("ILLEGAL_GENERATION"))
    }

    @Test func takesNothingFromSuccess() {
        #expect(KafkaError(taking: nil, operation: "commit") == nil)
    }

    @Test(arguments: [
        (RD_KAFKA_RESP_ERR__AUTHENTICATION, "configuration"),
        (RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "configuration"),
        (RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, "configuration"),
        (RD_KAFKA_RESP_ERR__FENCED, "commitRefused"),
        (RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "commitRefused"),
        (RD_KAFKA_RESP_ERR__TIMED_OUT, "unavailable"),
        (RD_KAFKA_RESP_ERR_NOT_COORDINATOR, "unavailable"),
    ])
    func hasAStreamErrorForEachClass(code: rd_kafka_resp_err_t, name: String) {
        let error = KafkaError(code, operation: "test").streamError(brokers: "host:9092")
        switch error {
        case .configuration: #expect(name == "configuration")
        case .commitRefused: #expect(name == "commitRefused")
        case .unavailable(let text):
            #expect(name == "unavailable")
            #expect(text.contains("host:9092"))
        default: Issue.record("\(error) for \(name)")
        }
    }

    @Test func tellsWhyARecordWasNotDelivered() {
        func failure(_ code: rd_kafka_resp_err_t) -> StreamError {
            KafkaError(code, operation: "append").deliveryError(topic: "t", byteCount: 7, limit: 5, brokers: "host:1")
        }
        #expect(failure(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) == .tooLarge(topic: "t", byteCount: 7, limit: 5))
        #expect(failure(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) == .unknownTopic("t"))
        #expect(failure(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) == .unknownTopic("t"))
        guard case .unavailable = failure(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) else {
            Issue.record("a timeout is not unavailable")
            return
        }
    }

    /// A broker that the controller has not heard of for a moment is none of the operator's mistakes.
    @Test func brokersThatAreFencedAreNotAvailable() {
        func kind(_ message: String) -> StreamError {
            KafkaError(RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, message: message, operation: "create topic t")
                .streamError(brokers: "host:9092")
        }
        let fenced = "Unable to replicate the partition 1 time(s): All brokers are currently fenced."
        guard case .unavailable(let text) = kind(fenced) else {
            Issue.record("\(kind(fenced))")
            return
        }
        #expect(text.contains("create topic t") && text.contains("fenced"))
        let tooMany =
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because "
            + "only 1 broker(s) are registered."
        guard case .configuration = kind(tooMany) else {
            Issue.record("\(kind(tooMany))")
            return
        }
    }
}
