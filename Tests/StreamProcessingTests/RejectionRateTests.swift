import ServiceRuntime
import StreamProcessing
import Testing

@Suite struct RejectionRateTests {
    @Test func bearsAFewBadRecordsInAQuietHour() throws {
        var rate = RejectionRate(limit: 0.01, minimumCount: 20)
        for _ in 0..<20 { try rate.record(received: 1, rejected: 1, lastReason: "bad") }
    }

    @Test func stopsWhenMoreThanOneInAHundredIsBad() throws {
        var rate = RejectionRate(limit: 0.01, minimumCount: 20)
        let now = ContinuousClock.now
        try rate.record(received: 2_079, rejected: 20, lastReason: "bad", now: now)
        #expect(throws: ProcessFailure.self) {
            try rate.record(received: 1, rejected: 1, lastReason: "no user", now: now)
        }
    }

    @Test func bearsManyBadRecordsAmongVeryManyGoodOnes() throws {
        var rate = RejectionRate(limit: 0.01, minimumCount: 20)
        for _ in 0..<100 { try rate.record(received: 1_000, rejected: 9, lastReason: "bad") }
    }

    @Test func forgetsWhatIsOlderThanAMinute() throws {
        var rate = RejectionRate(limit: 0.01, minimumCount: 20)
        let now = ContinuousClock.now
        try rate.record(received: 20, rejected: 20, lastReason: "bad", now: now)
        try rate.record(received: 20, rejected: 20, lastReason: "bad", now: now + .seconds(61))
        #expect(throws: ProcessFailure.self) {
            try rate.record(received: 1, rejected: 1, lastReason: "bad", now: now + .seconds(100))
        }
    }

    @Test func namesTheReason() {
        var rate = RejectionRate(limit: 0.01, minimumCount: 0)
        let error = #expect(throws: ProcessFailure.self) {
            try rate.record(received: 10, rejected: 5, lastReason: "user: is missing")
        }
        #expect(error?.description.contains("user: is missing") == true)
        #expect(error?.description.contains("5 of the last minute's 10 records") == true)
    }
}

@Suite struct BackoffTests {
    @Test func doublesUpToTheLimitAndBeginsAgainAfterASuccess() {
        var backoff = Backoff(first: .milliseconds(100), limit: .seconds(1))
        var generator = SystemRandomNumberGenerator()
        for full in [100, 200, 400, 800, 1_000, 1_000] {
            let pause = backoff.next(using: &generator)
            #expect(pause <= .milliseconds(full) && pause >= .milliseconds(full / 2))
        }
        backoff.reset()
        #expect(backoff.next() <= .milliseconds(100))
    }
}
