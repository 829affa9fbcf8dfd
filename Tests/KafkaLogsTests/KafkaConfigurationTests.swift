import MessageLogs
import Testing

@testable import KafkaLogs

@Suite struct KafkaConfigurationTests {
    @Test func readsBrokersAndSettings() throws {
        let configuration = try KafkaConfiguration(
            address: "kafka://one:9092,[::1]:9093,two?security.protocol=sasl_ssl&ssl.ca.location=%2Fetc%2Fca.pem"
                + "&replication.factor=3&partition.assignment.strategy=range&delivery.timeout.ms=20000",
            settings: ["sasl.mechanisms": "SCRAM-SHA-512"]
        )
        #expect(configuration.brokers == ["one:9092", "[::1]:9093", "two:9092"])
        #expect(configuration.replicationFactor == 3)
        #expect(configuration.assignmentStrategy == .range)
        #expect(configuration.deliveryTimeout == .seconds(20))
        #expect(
            configuration.additional == [
                "security.protocol": "sasl_ssl", "ssl.ca.location": "/etc/ca.pem",
                "sasl.mechanisms": "SCRAM-SHA-512",
            ]
        )
        let properties = configuration.properties(for: .appender, clientName: "test")
        #expect(properties["security.protocol"] == "sasl_ssl")
        #expect(properties["bootstrap.servers"] == "one:9092,[::1]:9093,two:9092")
    }

    @Test(arguments: [
        ("postgresql://localhost", "kafka://"),
        ("kafka://", "needs a host"),
        ("kafka://host:99999", "1 to 65535"),
        ("kafka://host:port", "1 to 65535"),
        ("kafka://a:1,,b:2", "needs a host"),
        ("kafka://me:hunter2@host:9092", "sasl.password.file"),
        ("kafka://host?compression.codec", "key=value"),
        ("kafka://host?replication.factor=many", "replication.factor is an integer"),
        ("kafka://host?partition.assignment.strategy=sticky", "cooperative-sticky or range"),
        ("kafka://host?enable.auto.commit=true", "enable.auto.commit"),
        ("kafka://host?max.in.flight=5", "max.in.flight"),
        ("kafka://host?max.in.flight.requests.per.connection=5", "max.in.flight.requests.per.connection"),
        ("kafka://host?transactional.id=mine", "transactional.id"),
        ("kafka://host?sasl.password.file=/nowhere/secret", "/nowhere/secret"),
    ])
    func refusesWhatIsWrong(address: String, part: String) {
        let error = #expect(throws: StreamError.self) { try KafkaConfiguration(address: address) }
        guard case .configuration(let text) = error else {
            Issue.record("\(String(describing: error)) is no configuration error")
            return
        }
        #expect(text.contains(part))
        #expect(!text.contains("hunter2"))
    }

    @Test func showsNoSecrets() throws {
        let configuration = try KafkaConfiguration(
            address: "kafka://host:1?sasl.username=me&sasl.password=hunter2",
            settings: ["ssl.key.password": "hunter3"]
        )
        #expect("\(configuration)".contains("sasl.username=me"))
        #expect("\(configuration)".contains("sasl.password=<redacted>"))
        #expect(!"\(configuration)".contains("hunter"))
    }

    @Test func refusesASettingThatIsNotKnownWithoutShowingSecrets() async {
        let known = await #expect(throws: StreamError.self) {
            try await KafkaLog(address: "kafka://127.0.0.1:1?no.such.setting=1")
        }
        #expect("\(known as Any)".contains("no.such.setting"))
        let secret = await #expect(throws: StreamError.self) {
            try await KafkaLog(address: "kafka://127.0.0.1:1?no.such.password=hunter2")
        }
        #expect("\(secret as Any)".contains("no.such.password"))
        #expect(!"\(secret as Any)".contains("hunter2"))
    }

    @Test func transactionsEndBeforeSessions() throws {
        let configuration = try KafkaConfiguration(address: "kafka://host")
        let options = SubscriptionOptions(topics: ["t"], membership: .group("g"), memberName: "m")
        let role = KafkaConfiguration.Role.transactional(id: "g-m", timeout: options.transactionTimeout)
        let properties = configuration.properties(for: role, clientName: "m")
        #expect(properties["transaction.timeout.ms"] == "8000")
        #expect(properties["message.timeout.ms"] == "8000")
        #expect(properties["retry.backoff.ms"] == "5")
    }

    /// More would lose records that were acknowledged: `ImplicitAcknowledgementTests`.
    @Test func producersHaveOneRequestUnderWay() throws {
        let configuration = try KafkaConfiguration(address: "kafka://host")
        for role in [.appender, .transactional(id: "g-m", timeout: .seconds(8))] as [KafkaConfiguration.Role] {
            let properties = configuration.properties(for: role, clientName: "m")
            #expect(properties["max.in.flight.requests.per.connection"] == "1")
        }
    }

    /// A broker may forget to end the session of a member that is gone; what bounds the wait is this.
    @Test func aRebalanceWaitsAMinuteAtMost() throws {
        let configuration = try KafkaConfiguration(address: "kafka://one:9092")
        let role = KafkaConfiguration.Role.subscriber(group: "g", isMember: true, sessionTimeout: .seconds(10))
        let properties = configuration.properties(for: role, clientName: "m")
        #expect(properties["max.poll.interval.ms"] == "60000")
        #expect(properties["session.timeout.ms"] == "10000")
    }

    @Test(.timeLimit(.minutes(15))) func tellsTheAddressWhenNoBrokerAnswers() async {
        let error = await #expect(throws: StreamError.self) {
            try await KafkaLog(address: "kafka://127.0.0.1:1?connect.timeout.ms=1500")
        }
        guard case .unavailable(let text) = error else {
            Issue.record("\(String(describing: error)) is not unavailable")
            return
        }
        #expect(text.contains("127.0.0.1:1"))
        #expect(text.contains("refused"))
    }
}
