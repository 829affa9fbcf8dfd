import Bytes

/// What the load sent, and what it was told of it: the other side of the account that the topics keep.
actor FaultsLedger {
    /// What is written down.
    struct Contents: Sendable {
        /// Every event that may be in the log: its id, and its user.
        var sent: [String: UserID] = [:]
        /// Ids of the events that were acknowledged.
        var acknowledged: Set<String> = []
        /// How often a request was sent again because its fate was unknown.
        var repeatedRequests = 0
        /// Users, and how many of their deletions were acknowledged.
        var deletions: [UserID: Int] = [:]
        /// Keys of the records that are no events and were taken by the log.
        var poison: Set<String> = []
        /// Keys of those whose fate is unknown.
        var possiblePoison: Set<String> = []
        /// Questions whose fate is unknown or was acknowledged.
        var asked: Set<QuestionID> = []
        /// Questions that were acknowledged.
        var accepted: Set<QuestionID> = []
    }

    private(set) var contents = Contents()

    func sends(_ events: [(id: String, user: UserID)]) {
        for event in events { contents.sent[event.id] = event.user }
    }

    func acknowledges(_ ids: [String]) { contents.acknowledged.formUnion(ids) }

    func repeats() { contents.repeatedRequests += 1 }

    func deletes(_ user: UserID) { contents.deletions[user, default: 0] += 1 }

    func poisons(_ key: String) { contents.poison.insert(key) }

    func mayPoison(_ key: String) { contents.possiblePoison.insert(key) }

    func asks(_ question: QuestionID) { contents.asked.insert(question) }

    func accepts(_ question: QuestionID) { contents.accepted.insert(question) }
}
