import CLanguageKernels
import Synchronization
import Testing

extension KernelTests {
    /// The team of threads.
    @Suite struct Team {
        /// What members write; each in its own place.
        private final class Record: Sendable {
            let visits = Mutex([Int: Int]())
            let claims = Mutex([Int64]())
            let steps = Mutex([Int]())
        }

        private final class Context {
            let team: OpaquePointer
            let record: Record

            init(_ team: OpaquePointer, _ record: Record) {
                self.team = team
                self.record = record
            }

            var pointer: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

            static func at(_ pointer: UnsafeMutableRawPointer) -> Context {
                Unmanaged<Context>.fromOpaque(pointer).takeUnretainedValue()
            }
        }

        @Test(arguments: [Int32(1), 2, 3, 4])
        func everyMemberRunsEachRegionOnce(members: Int32) throws {
            let team = try #require(lk_team_create(members))
            defer { lk_team_destroy(team) }
            #expect(lk_team_size(team) == members)
            let record = Record()
            let context = Context(team, record)
            for _ in 0..<300 {
                lk_team_run(
                    team,
                    { context, member, _ in
                        guard let context = context.map(Context.at) else { return }
                        context.record.visits.withLock { $0[Int(member), default: 0] += 1 }
                    },
                    context.pointer
                )
            }
            let visits = record.visits.withLock { $0 }
            #expect(visits == Dictionary(uniqueKeysWithValues: (0..<Int(members)).map { ($0, 300) }))
        }

        @Test(arguments: [Int32(1), 2, 3, 4])
        func nobodyPassesABarrierBeforeAllHaveCome(members: Int32) throws {
            let team = try #require(lk_team_create(members))
            defer { lk_team_destroy(team) }
            let record = Record()
            let context = Context(team, record)
            lk_team_run(
                team,
                { context, _, _ in
                    guard let context = context.map(Context.at) else { return }
                    for step in 0..<200 {
                        context.record.steps.withLock { $0.append(step) }
                        lk_team_barrier(context.team)
                    }
                },
                context.pointer
            )
            let steps = record.steps.withLock { $0 }
            #expect(steps == (0..<200).flatMap { [Int](repeating: $0, count: Int(members)) })
        }

        @Test(arguments: [Int32(1), 2, 4])
        func claimsAreHandedOutOnceAndStartAgainAfterABarrier(members: Int32) throws {
            let team = try #require(lk_team_create(members))
            defer { lk_team_destroy(team) }
            let record = Record()
            let context = Context(team, record)
            for _ in 0..<20 {
                lk_team_run(
                    team,
                    { context, _, _ in
                        guard let context = context.map(Context.at) else { return }
                        for _ in 0..<2 {
                            while true {
                                let claim = lk_team_claim(context.team)
                                if claim >= 50 { break }
                                context.record.claims.withLock { $0.append(claim) }
                            }
                            lk_team_barrier(context.team)
                        }
                    },
                    context.pointer
                )
            }
            let claims = record.claims.withLock { $0 }
            #expect(claims.sorted() == (0..<50).flatMap { [Int64](repeating: $0, count: 40) })
        }

        @Test func sizesOutOfRangeAreRefused() {
            #expect(lk_team_create(0) == nil)
            #expect(lk_team_create(257) == nil)
            lk_team_destroy(nil)
        }

        @Test func sharesOfOutputsCoverEachOnce() {
            for outputs in [1, 16, 17, 576, 49_153] {
                for members in [1, 2, 3, 7] {
                    var next = Int64(0)
                    for member in 0..<members {
                        var (first, last) = (Int64(-1), Int64(-1))
                        lk_split(Int64(outputs), Int32(members), Int32(member), &first, &last)
                        #expect(first == next && last >= first && (first % 16 == 0 || first == last))
                        next = last
                    }
                    #expect(next == outputs)
                }
            }
        }
    }
}
