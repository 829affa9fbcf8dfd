import ServiceRuntime
import Flows
import Testing

@Suite struct RejectionRateTests {
    @Test func bearsAFewBadRecordsInAQuietHour() {
        var rate = RejectionRate(share: .upTo(0.01), minimumCount: 20)
        for _ in 0..<20 { #expect(rate.count(received: 1, rejected: 1, lastReason: "bad") == nil) }
    }

    @Test func stopsWhenMoreThanOneInAHundredIsBad() {
        var rate = RejectionRate(share: .upTo(0.01), minimumCount: 20)
        let now = ContinuousClock.now
        #expect(rate.count(received: 2_079, rejected: 20, lastReason: "bad", now: now) == nil)
        #expect(rate.count(received: 1, rejected: 1, lastReason: "no user", now: now) != nil)
    }

    @Test func bearsManyBadRecordsAmongVeryManyGoodOnes() {
        var rate = RejectionRate(share: .upTo(0.01), minimumCount: 20)
        for _ in 0..<100 { #expect(rate.count(received: 1_000, rejected: 9, lastReason: "bad") == nil) }
    }

    @Test func forgetsWhatIsOlderThanAMinute() {
        var rate = RejectionRate(share: .upTo(0.01), minimumCount: 20)
        let now = ContinuousClock.now
        #expect(rate.count(received: 20, rejected: 20, lastReason: "bad", now: now) == nil)
        #expect(rate.count(received: 20, rejected: 20, lastReason: "bad", now: now + .seconds(61)) == nil)
        #expect(rate.count(received: 1, rejected: 1, lastReason: "bad", now: now + .seconds(100)) != nil)
    }

    @Test func namesTheReasonAndTheWayOut() {
        var rate = RejectionRate(share: .upTo(0.025), minimumCount: 0)
        let failure = rate.count(received: 10, rejected: 5, lastReason: "user: is missing")
        #expect(failure?.description.contains("user: is missing") == true)
        #expect(
            failure?.description.contains("5 of the last minute's 10 records were rejected, more than 2.5 %") == true
        )
        #expect(failure?.description.contains("--rejected-share") == true)
        #expect(failure?.exitCode == .badInput)
    }

    @Test func offBearsEverything() {
        var rate = RejectionRate(share: .off, minimumCount: 0)
        for _ in 0..<100 { #expect(rate.count(received: 1_000, rejected: 1_000, lastReason: "bad") == nil) }
    }

    @Test func aShareOfOneStopsNothingEither() {
        var rate = RejectionRate(share: .upTo(1), minimumCount: 0)
        #expect(rate.count(received: 1_000, rejected: 1_000, lastReason: "bad") == nil)
    }

    @Test(arguments: [
        ("0.01", RejectedShare.upTo(0.01)), ("1%", .upTo(0.01)), ("100%", .upTo(1)), ("0", .upTo(0)), ("off", .off),
        ("1", .upTo(1)),
    ])
    func sharesAreRead(text: String, share: RejectedShare) {
        #expect(RejectedShare(configurationText: text) == share)
        #expect(RejectedShare(configurationText: share.configurationText) == share)
    }

    @Test(arguments: ["1.5", "-0.1", "101%", "nan", "inf", "", "%", "some", "Off"])
    func whatIsNoShareIsRefused(text: String) {
        #expect(RejectedShare(configurationText: text) == nil)
    }
}
