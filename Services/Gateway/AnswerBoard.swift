import Identifiers
import Messages
import Synchronization

/// What is known of questions: the pieces of their answers and the answers, for whoever waits for them.
///
/// Holds the newest up to a number and a size; the oldest that nobody waits for go first.
final class AnswerBoard: Sendable {
    /// What somebody who watches a question is told, in order.
    enum News: Sendable {
        case token(AnswerToken)
        /// The last news.
        case answer(Answer)
        /// Nothing happened for a while.
        case heartbeat
    }

    /// Somebody who waits; to be given back with `stop`.
    struct Watch: Sendable {
        let question: QuestionID
        let news: AsyncStream<News>
        fileprivate let id: Int
        fileprivate let continuation: AsyncStream<News>.Continuation

        /// Tells the one who watches that nothing happened for a while.
        func beat() { continuation.yield(.heartbeat) }
    }

    private struct Entry {
        var isAsked = false
        var tokens: [AnswerToken] = []
        var answer: Answer?
        var watchers: [Int: AsyncStream<News>.Continuation] = [:]
        var byteCount = 0
        var sequence = 0
    }

    private struct State {
        var entries: [QuestionID: Entry] = [:]
        /// Ids in the order they came, with the number of their entry; an id that was dropped meanwhile has another.
        var order: [(id: QuestionID, sequence: Int)] = []
        var firstInOrder = 0
        var byteCount = 0
        var nextNumber = 0
    }

    private static let entryByteCount = 256
    private let maximumCount: Int
    private let maximumByteCount: Int
    private let state = Mutex(State())

    init(maximumCount: Int, maximumByteCount: Int) {
        self.maximumCount = maximumCount
        self.maximumByteCount = maximumByteCount
    }

    /// How many questions are held.
    var count: Int { state.withLock { $0.entries.count } }
    /// How many ids are remembered in their order, those of dropped questions included.
    var rememberedCount: Int { state.withLock { $0.order.count } }

    // MARK: - Who waits

    /// Watches a question, which nobody need have asked yet; begins with what is known already.
    func watch(_ question: QuestionID) -> Watch {
        // Not bounded by itself: an answer has a bounded number of tokens, and each watch belongs to a connection.
        let (news, continuation) = AsyncStream<News>.makeStream()
        let id = state.withLock { state in
            let id = state.nextNumber
            state.nextNumber += 1
            change(question, &state) { entry in
                for token in entry.tokens { continuation.yield(.token(token)) }
                if let answer = entry.answer { continuation.yield(.answer(answer)) }
                entry.watchers[id] = continuation
            }
            return id
        }
        return Watch(question: question, news: news, id: id, continuation: continuation)
    }

    /// Ends a watch.
    func stop(_ watch: Watch) {
        watch.continuation.finish()
        state.withLock { state in
            guard var entry = state.entries[watch.question] else { return }
            entry.watchers[watch.id] = nil
            let isNothing = entry.watchers.isEmpty && entry.answer == nil && entry.tokens.isEmpty && !entry.isAsked
            state.entries[watch.question] = isNothing ? nil : entry
            if isNothing { state.byteCount -= entry.byteCount }
            trim(&state)
        }
    }

    // MARK: - What comes

    /// Notes that a question is being asked; false when it was already.
    func claim(_ question: QuestionID) -> Bool {
        state.withLock { state in
            guard state.entries[question]?.isAsked != true, state.entries[question]?.answer == nil else { return false }
            change(question, &state) { $0.isAsked = true }
            return true
        }
    }

    /// Notes that a question could not be asked after all.
    func unclaim(_ question: QuestionID) {
        state.withLock { state in change(question, &state) { $0.isAsked = false } }
    }

    /// Notes a piece of an answer; one that came before, or after the whole answer, is left out.
    func add(_ token: AnswerToken) {
        state.withLock { state in
            change(token.questionID, &state) { entry in
                guard entry.answer == nil, token.position > (entry.tokens.last.map { Int64($0.position) } ?? -1) else {
                    return
                }
                entry.tokens.append(token)
                entry.byteCount += token.text.utf8.count + 64
                for watcher in entry.watchers.values { watcher.yield(.token(token)) }
            }
        }
    }

    /// Notes an answer; the first one counts.
    func add(_ answer: Answer) {
        state.withLock { state in
            change(answer.questionID, &state) { entry in
                guard entry.answer == nil else { return }
                entry.answer = answer
                entry.byteCount += answer.text.utf8.count + answer.reason.utf8.count + 128
                entry.byteCount += answer.items.reduce(0) { $0 + $1.id.utf8.count + $1.title.utf8.count + 48 }
                for watcher in entry.watchers.values {
                    watcher.yield(.answer(answer))
                    watcher.finish()
                }
            }
        }
    }

    // MARK: - Bounds

    private func change(_ id: QuestionID, _ state: inout State, _ body: (inout Entry) -> Void) {
        var entry = state.entries[id] ?? Entry(byteCount: Self.entryByteCount, sequence: -1)
        let before = entry.sequence < 0 ? 0 : entry.byteCount
        if entry.sequence < 0 {
            entry.sequence = state.nextNumber
            state.nextNumber += 1
            state.order.append((id, entry.sequence))
        }
        body(&entry)
        state.byteCount += entry.byteCount - before
        state.entries[id] = entry
        trim(&state)
    }

    private func trim(_ state: inout State) {
        var kept: [(id: QuestionID, sequence: Int)] = []
        while state.entries.count > maximumCount || state.byteCount > maximumByteCount,
            state.firstInOrder < state.order.count
        {
            let oldest = state.order[state.firstInOrder]
            state.firstInOrder += 1
            guard let entry = state.entries[oldest.id], entry.sequence == oldest.sequence else { continue }
            if entry.watchers.isEmpty {
                state.entries[oldest.id] = nil
                state.byteCount -= entry.byteCount
            } else {
                kept.append(oldest)
            }
        }
        // Somebody waits for these: they are looked at again when they are the newest.
        state.order += kept
        // Questions that were only looked for leave their ids here, which would grow without limit.
        guard state.order.count > 2 * state.entries.count + 1_024 else { return }
        state.order = state.order[state.firstInOrder...].filter { state.entries[$0.id]?.sequence == $0.sequence }
        state.firstInOrder = 0
    }
}
