import Failpoints

extension Failpoint {
    /// A commit over PostgreSQL is about to be sent.
    static var postgresBeforeCommit: Failpoint { Failpoint("postgres.before-commit") }
    /// A commit over PostgreSQL was acknowledged; the flow does not know it yet.
    static var postgresAfterCommit: Failpoint { Failpoint("postgres.after-commit") }
}

extension Protection {
    /// A member commits only what it owns under the epoch in which it read.
    static var membershipCheck: Protection { Protection("membership-check") }
}
