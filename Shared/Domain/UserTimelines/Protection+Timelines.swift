import Failpoints

extension Protection {
    /// An event whose offset a timeline already has is not applied again.
    static var replayGuard: Protection { Protection("replay-guard") }
    /// A record that is rerouted from another partition twice is not applied again.
    static var sourceGuard: Protection { Protection("source-guard") }
    /// An event whose id its user's timeline holds does not count again.
    static var eventIDs: Protection { Protection("event-ids") }
}
