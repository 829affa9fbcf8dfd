import Failpoints

extension Protection {
    /// An event whose offset a timeline has already is not applied again.
    static var replayGuard: Protection { Protection("replay-guard") }
    /// A record that was sent on from another partition is not applied again should it be sent on twice.
    static var sourceGuard: Protection { Protection("source-guard") }
    /// An event whose id its user's timeline holds does not count again.
    static var eventIDs: Protection { Protection("event-ids") }
}
