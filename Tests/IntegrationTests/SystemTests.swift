import Testing
import Verification

/// The whole system over PostgreSQL alone.
@Suite(.serialized, .system(over: .postgres)) struct SystemOverPostgresTests {
    @Test func rowsEqualTheOfflineEncodingAlthoughEveryServiceIsKilled() async throws {
        try await Scenarios.replayWithKills()
    }

    @Test func everyQuestionHasOneAnswerWhileEventsFlow() async throws { try await Scenarios.questions() }

    @Test func theNextAnswerKnowsTheLastEvent() async throws { try await Scenarios.freshness() }

    @Test func badRequestsAreNamedAndGoodLinesAccepted() async throws { try await Scenarios.badRequests() }

    @Test func recordsThatDoNotParseAreRejectedAndTheRestGoesOn() async throws { try await Scenarios.badRecords() }

    @Test func questionsWithoutAnAnswerSayWhy() async throws { try await Scenarios.unanswerableQuestions() }

    @Test func whatTheUserHasHadIsNoAnswer() async throws { try await Scenarios.seenItems() }

    @Test func aDeletedUserIsForgottenEverywhere() async throws { try await Scenarios.deletion() }

    @Test func usersThatDifferInBytesAloneAreDifferent() async throws {
        try await Scenarios.usersThatDifferInBytesAlone()
    }

    @Test func statusShowsWhatRuns() async throws { try await Scenarios.status() }
}

/// The same over a real Apache Kafka.
@Suite(
    .serialized,
    .enabled(if: KafkaBroker.program != nil, "no Apache Kafka: set KAFKA_HOME, or put one at ../shared/kafka"),
    .system(over: .kafka)
)
struct SystemOverKafkaTests {
    @Test func rowsEqualTheOfflineEncodingAlthoughEveryServiceIsKilled() async throws {
        try await Scenarios.replayWithKills()
    }

    @Test func everyQuestionHasOneAnswerWhileEventsFlow() async throws { try await Scenarios.questions() }

    @Test func theNextAnswerKnowsTheLastEvent() async throws { try await Scenarios.freshness() }

    @Test func badRequestsAreNamedAndGoodLinesAccepted() async throws { try await Scenarios.badRequests() }

    @Test func recordsThatDoNotParseAreRejectedAndTheRestGoesOn() async throws { try await Scenarios.badRecords() }

    @Test func questionsWithoutAnAnswerSayWhy() async throws { try await Scenarios.unanswerableQuestions() }

    @Test func whatTheUserHasHadIsNoAnswer() async throws { try await Scenarios.seenItems() }

    @Test func aDeletedUserIsForgottenEverywhere() async throws { try await Scenarios.deletion() }

    @Test func usersThatDifferInBytesAloneAreDifferent() async throws {
        try await Scenarios.usersThatDifferInBytesAlone()
    }

    @Test func statusShowsWhatRuns() async throws { try await Scenarios.status() }
}
