import Concurrency
import Testing

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
