import Failpoints

extension Failpoint {
    /// The ingestor is about to append events.
    static var ingestorBeforeAppend: Failpoint { Failpoint("ingestor.before-append") }
    /// The log has accepted the events; the reply has not been sent.
    static var ingestorAfterAppend: Failpoint { Failpoint("ingestor.after-append") }
}
