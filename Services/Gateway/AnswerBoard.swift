import Bytes
import Messages
import Synchronization

/// What is known about questions: the pieces of their answers and the answers, for everyone who waits for them.
///
/// A question is identified by its user and its id together. A request with only an id is served as long as only one
/// user has a question with that id. The board holds the newest questions up to a number and a size; the oldest that
/// nobody waits for are evicted first.
final class AnswerBoard: Sendable {
    /// What a watcher of a question receives, in order.
    enum News: Sendable {
        case token(AnswerToken)
        /// The last news.
        case answer(Answer)
        /// The last news: several users have a question with this id, so the user must be named.
        case ambiguous
        /// Nothing happened for a while.
        case heartbeat
    }

    /// A watcher; to be ended with `stop`.
    struct Watch: Sendable {
        let question: QuestionID
        let news: AsyncStream<News>
        fileprivate let id: Int
        fileprivate let continuation: AsyncStream<News>.Continuation

        /// Tells the watcher that nothing happened for a while.
        func beat() { continuation.yield(.heartbeat) }
    }

    /// The result of claiming a question before it is asked.
    enum Claim: Equatable {
        /// It is new and may be asked.
        case new
        /// It was already asked.
        case known
        /// This user has asked another question with its id.
        case differs
        /// Another user has a question with its id.
        case taken
    }

    private struct Entry {
        var isAsked = false
        var fingerprint: Int?
        var tokens: [AnswerToken] = []
        var answer: Answer?
        var byteCount: Int
        var sequence = -1

        /// What a new watcher has missed.
        var news: [News] { tokens.map { .token($0) } + (answer.map { [.answer($0)] } ?? []) }
    }

    private struct Watcher {
        /// The user whose question it is; a watcher that named no user belongs to the first user seen with the id.
        var user: UserID?
        let isNamed: Bool
        let continuation: AsyncStream<News>.Continuation
    }

    /// The questions and watchers of one id.
    private struct Place {
        var users: Set<UserID> = []
        var watchers: [Int: Watcher] = [:]

        func isWatched(_ user: UserID) -> Bool { watchers.values.contains { $0.user == nil || $0.user == user } }
    }

    private struct State {
        var entries: [QuestionKey: Entry] = [:]
        var places: [QuestionID: Place] = [:]
        /// Questions in order of arrival, with the number of their entry; a question that was dropped and came again
        /// has another number.
        var order: [(key: QuestionKey, sequence: Int)] = []
        var firstInOrder = 0
        var byteCount = 0
        var nextNumber = 0
    }

    private static let entryByteCount = 512
    private let maximumCount: Int
    private let maximumByteCount: Int
    private let state = Mutex(State())

    init(maximumCount: Int, maximumByteCount: Int) {
        self.maximumCount = maximumCount
        self.maximumByteCount = maximumByteCount
    }

    /// How many questions are held.
    var count: Int { state.withLock { $0.entries.count } }
    /// How many ids have questions or watchers.
    var placeCount: Int { state.withLock { $0.places.count } }
    /// How many questions are in the eviction order, including dropped ones.
    var rememberedCount: Int { state.withLock { $0.order.count } }

    // MARK: - Watching

    /// Watches a question, which need not have been asked yet; begins with what is already known.
    ///
    /// - Parameters:
    ///   - question: its id.
    ///   - user: whose question; nil for the only user that has one with this id.
    /// - Returns: the watch, to be ended with `stop`.
    func watch(_ question: QuestionID, of user: UserID?) -> Watch {
        // Needs no bound of its own: an answer has a bounded number of tokens, and each watch belongs to a connection.
        let (news, continuation) = AsyncStream<News>.makeStream()
        let number = state.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            var place = state.places[question] ?? Place()
            var watcher = Watcher(user: user, isNamed: user != nil, continuation: continuation)
            if user == nil, place.users.count > 1 {
                continuation.yield(.ambiguous)
                continuation.finish()
            } else if let user = user ?? place.users.first {
                watcher.user = user
                for news in state.entries[QuestionKey(user: user, id: question)]?.news ?? [] {
                    continuation.yield(news)
                }
            }
            place.watchers[number] = watcher
            state.places[question] = place
            return number
        }
        return Watch(question: question, news: news, id: number, continuation: continuation)
    }

    /// Ends a watch.
    func stop(_ watch: Watch) {
        watch.continuation.finish()
        let id = watch.question
        state.withLock { state in
            guard var place = state.places[id] else { return }
            place.watchers[watch.id] = nil
            state.places[id] = place.users.isEmpty && place.watchers.isEmpty ? nil : place
            trim(&state)
        }
    }

    // MARK: - Updates

    /// Notes that a question is being asked, if that is allowed.
    func claim(_ question: Question) -> Claim {
        let key = QuestionKey(question)
        let fingerprint = question.fingerprint
        return state.withLock { state in
            let entry = state.entries[key]
            guard entry != nil || state.places[key.id]?.users.isEmpty != false else { return .taken }
            if let earlier = entry?.fingerprint, earlier != fingerprint { return .differs }
            let isNew = entry?.isAsked != true && entry?.answer == nil
            change(key, &state) { entry in
                entry.isAsked = true
                entry.fingerprint = fingerprint
                return nil
            }
            return isNew ? .new : .known
        }
    }

    /// Notes that a question could not be asked after all.
    func unclaim(_ question: Question) {
        state.withLock { state in
            let key = QuestionKey(question)
            guard let entry = state.entries[key] else { return }
            if entry.answer == nil, entry.tokens.isEmpty {
                drop(key, &state)
            } else {
                change(key, &state) { entry in
                    entry.isAsked = false
                    return nil
                }
            }
        }
    }

    /// Adds a piece of an answer; duplicates, and pieces after the whole answer, are ignored.
    func add(_ token: AnswerToken, of user: UserID) {
        let key = QuestionKey(user: user, id: token.questionID)
        state.withLock { state in
            change(key, &state) { entry in
                guard entry.answer == nil, token.position > (entry.tokens.last.map { Int64($0.position) } ?? -1) else {
                    return nil
                }
                entry.tokens.append(token)
                entry.byteCount += token.text.utf8.count + 64
                return .token(token)
            }
        }
    }

    /// Adds an answer; the first one counts.
    func add(_ answer: Answer) {
        let key = QuestionKey(answer)
        state.withLock { state in
            change(key, &state) { entry in
                guard entry.answer == nil else { return nil }
                entry.answer = answer
                entry.byteCount += answer.text.utf8.count + answer.reason.utf8.count + 128
                entry.byteCount += answer.items.reduce(0) { $0 + $1.id.utf8.count + $1.title.utf8.count + 48 }
                return .answer(answer)
            }
        }
    }

    /// Changes what is known about a question, and sends the resulting news to its watchers.
    private func change(_ key: QuestionKey, _ state: inout State, _ body: (inout Entry) -> News?) {
        let known = state.entries[key]
        var entry = known ?? Entry(byteCount: Self.entryByteCount + 2 * (key.user.utf8.count + key.id.utf8.count))
        let before = known?.byteCount ?? 0
        if known == nil {
            entry.sequence = state.nextNumber
            state.nextNumber += 1
            state.order.append((key, entry.sequence))
            settle(key, &state.places[key.id, default: Place()])
        }
        let news = body(&entry)
        state.byteCount += entry.byteCount - before
        state.entries[key] = entry
        if let news { tell(news, of: key, state.places[key.id]) }
        trim(&state)
    }

    /// Notes a user's question under its id: watchers without a user follow the first user's, and end as ambiguous with
    /// a second.
    private func settle(_ key: QuestionKey, _ place: inout Place) {
        place.users.insert(key.user)
        for (number, watcher) in place.watchers where !watcher.isNamed {
            if place.users.count > 1 || (watcher.user != nil && watcher.user != key.user) {
                watcher.continuation.yield(.ambiguous)
                watcher.continuation.finish()
            } else {
                place.watchers[number]?.user = key.user
            }
        }
    }

    private func tell(_ news: News, of key: QuestionKey, _ place: Place?) {
        guard let place else { return }
        for watcher in place.watchers.values where watcher.user == key.user {
            watcher.continuation.yield(news)
            if case .answer = news { watcher.continuation.finish() }
        }
    }

    // MARK: - Bounds

    private func drop(_ key: QuestionKey, _ state: inout State) {
        guard let entry = state.entries.removeValue(forKey: key) else { return }
        state.byteCount -= entry.byteCount
        guard var place = state.places[key.id] else { return }
        place.users.remove(key.user)
        state.places[key.id] = place.users.isEmpty && place.watchers.isEmpty ? nil : place
    }

    private func trim(_ state: inout State) {
        var kept: [(key: QuestionKey, sequence: Int)] = []
        while state.entries.count > maximumCount || state.byteCount > maximumByteCount,
            state.firstInOrder < state.order.count
        {
            let oldest = state.order[state.firstInOrder]
            state.firstInOrder += 1
            guard let entry = state.entries[oldest.key], entry.sequence == oldest.sequence else { continue }
            if state.places[oldest.key.id]?.isWatched(oldest.key.user) == true {
                kept.append(oldest)
            } else {
                drop(oldest.key, &state)
            }
        }
        // These have watchers: they move to the newest end, and are checked again when they are the oldest.
        state.order += kept
        // Dropped questions leave their keys here, which would grow without limit.
        guard state.order.count > 2 * state.entries.count + 1_024 else { return }
        state.order = state.order[state.firstInOrder...].filter { state.entries[$0.key]?.sequence == $0.sequence }
        state.firstInOrder = 0
    }
}
