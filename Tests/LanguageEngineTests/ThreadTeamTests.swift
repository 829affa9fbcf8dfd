import Foundation
@testable import LanguageEngine
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct ThreadTeamTests {
    /// One member comes late in each round, so that the others have gone to sleep; a wake-up that is lost would stop all.
    @Test(arguments: [2, 3, 5])
    func whoSleepsAtABarrierIsWoken(memberCount: Int) throws {
        let team = try ThreadTeam(memberCount: memberCount)
        let arrived = Atomic<Int>(0)
        let early = Atomic<Int>(0)
        for _ in 0..<20 {
            arrived.store(0, ordering: .relaxed)
            team.run { member in
                for round in 1...10 {
                    if round % memberCount == member.index { usleep(1_000) }
                    arrived.add(1, ordering: .relaxed)
                    member.waitForAll()
                    if arrived.load(ordering: .relaxed) < round * memberCount { early.add(1, ordering: .relaxed) }
                    member.waitForAll()
                }
                // The region's end is waited for in the same way, by the caller.
                if member.index == memberCount - 1 { usleep(1_000) }
            }
            #expect(arrived.load(ordering: .relaxed) == 10 * memberCount)
        }
        #expect(early.load(ordering: .relaxed) == 0)
    }
}
