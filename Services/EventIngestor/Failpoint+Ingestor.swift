import Failpoints

extension Failpoint {
    /// The ingestor is about to append events.
    static var ingestorBeforeAppend: Failpoint { Failpoint("ingestor.before-append") }
    /// The log has taken the events; the reply is not sent.
    static var ingestorAfterAppend: Failpoint { Failpoint("ingestor.after-append") }
}
