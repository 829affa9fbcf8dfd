internal import MessageLogs

extension KafkaError {
    /// The error in terms of the log's interface.
    ///
    /// The brokers' addresses are named when they could not be reached.
    func streamError(brokers: String) -> StreamError {
        if KafkaError.Code.configurationFaults.contains(code), !saysThatBrokersAreFenced {
            return .configuration("Kafka at \(brokers) refused: \(description); check the settings and credentials")
        }
        switch code {
        case .fatal, .fenced, .invalidProducerEpoch, .producerFenced:
            return .commitRefused(description)
        default:
            return .unavailable("Kafka at \(brokers): \(description)")
        }
    }

    /// The error of a record that was not delivered.
    func deliveryError(topic: String, byteCount: Int, limit: Int, brokers: String) -> StreamError {
        switch code {
        case .messageTooLarge, .recordListTooLarge:
            .tooLarge(topic: topic, byteCount: byteCount, limit: limit)
        case .localUnknownTopic, .unknownTopicOrPartition:
            .unknownTopic(topic)
        case .unknownPartition:
            .configuration("\(operation): topic \(topic) has no such partition; leave it out, or name one that exists")
        case .fatal, .fenced, .purgedInQueue, .purgedInFlight, .invalidProducerEpoch, .producerFenced:
            .unavailable("Kafka at \(brokers): \(description)")
        default:
            streamError(brokers: brokers)
        }
    }
}
