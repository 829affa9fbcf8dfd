import CLanguageKernels

/// Threads that compute one region of work together; the calling thread is one of them.
///
/// Not `Sendable`: its owner runs one region at a time.
final class ThreadTeam {
    private let team: OpaquePointer
    /// Number of threads, the caller included.
    let memberCount: Int
    /// Multiply-adds of each member, far enough apart for members not to wait for each other's cache lines.
    private let tallies: UnsafeMutablePointer<Int>
    private static let tallyStride = 16

    /// Starts a team.
    ///
    /// - Parameter memberCount: number of threads, the caller included, from 1 to 256.
    /// - Throws: `EngineError.invalid` when the number is out of range or the threads cannot be started.
    init(memberCount: Int) throws(EngineError) {
        let range = 1...256
        try check("threads", memberCount, range.contains(memberCount), "from 1 to 256")
        guard let team = lk_team_create(Int32(memberCount)) else {
            throw .invalid(field: "threads", value: "\(memberCount)", expected: "as many as this machine starts")
        }
        self.team = team
        self.memberCount = memberCount
        tallies = .allocate(capacity: memberCount * Self.tallyStride)
        tallies.initialize(repeating: 0, count: memberCount * Self.tallyStride)
    }

    deinit {
        lk_team_destroy(team)
        tallies.deallocate()
    }

    /// Multiply-adds that members have counted since the team was started; not while a region runs.
    var multiplyAdds: Int { (0..<memberCount).reduce(0) { $0 + tallies[$1 * Self.tallyStride] } }

    /// What a member of the team sees of it inside a region.
    struct Member {
        fileprivate let team: OpaquePointer
        /// The member's number, from 0.
        let index: Int
        /// Number of members.
        let count: Int
        fileprivate let tally: UnsafeMutablePointer<Int>

        /// Counts work that this member has done.
        func count(multiplyAdds: Int) { tally.pointee &+= multiplyAdds }

        /// Waits until every member has come here.
        func waitForAll() { lk_team_barrier(team) }

        /// The next piece of work, counted over all members from the region's start or the last wait.
        func claim() -> Int { Int(lk_team_claim(team)) }

        /// This member's share of `total` pieces in a row.
        func share(of total: Int) -> Range<Int> {
            total * index / count..<total * (index + 1) / count
        }
    }

    /// Runs `body` on every member at the same time and returns when all are done.
    ///
    /// What members write must lie apart, or a wait between them.
    func run(_ body: (Member) -> Void) {
        withoutActuallyEscaping(body) { escaping in
            var region = Region(team: team, tallies: tallies, body: escaping)
            withUnsafeMutablePointer(to: &region) { pointer in
                lk_team_run(
                    team,
                    { context, index, count in
                        guard let region = context?.assumingMemoryBound(to: Region.self) else { return }
                        let member = Member(
                            team: region.pointee.team,
                            index: Int(index),
                            count: Int(count),
                            tally: region.pointee.tallies + Int(index) * ThreadTeam.tallyStride
                        )
                        region.pointee.body(member)
                    },
                    pointer
                )
            }
        }
    }

    private struct Region {
        let team: OpaquePointer
        let tallies: UnsafeMutablePointer<Int>
        let body: (Member) -> Void
    }
}
