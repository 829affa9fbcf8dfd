import HTTPServer
import Synchronization

/// Bounds how many requests wait for an answer at once, in total and per client, so that connections are left for
/// others.
final class WaitingRoom: Sendable {
    /// Why a request may not wait.
    enum Refusal: Error {
        /// Too many requests of this client are already waiting.
        case client
        /// Too many requests are already waiting.
        case all
    }

    /// Held while a request waits, and released with the last reference to it.
    final class Seat: Sendable {
        private let room: WaitingRoom
        private let client: IPAddress

        fileprivate init(_ room: WaitingRoom, _ client: IPAddress) {
            self.room = room
            self.client = client
        }

        deinit { room.leave(client) }
    }

    private struct State {
        var count = 0
        var clients: [IPAddress: Int] = [:]
    }

    private let maximumCount: Int
    private let maximumCountPerClient: Int
    private let state = Mutex(State())

    init(maximumCount: Int, maximumCountPerClient: Int) {
        self.maximumCount = maximumCount
        self.maximumCountPerClient = maximumCountPerClient
    }

    /// How many wait.
    var count: Int { state.withLock { $0.count } }

    /// Takes a seat.
    func enter(_ client: IPAddress) throws(Refusal) -> Seat {
        try state.withLock { state throws(Refusal) in
            guard state.count < maximumCount else { throw .all }
            guard state.clients[client, default: 0] < maximumCountPerClient else { throw .client }
            state.count += 1
            state.clients[client, default: 0] += 1
        }
        return Seat(self, client)
    }

    private func leave(_ client: IPAddress) {
        state.withLock { state in
            state.count -= 1
            let rest = state.clients[client, default: 1] - 1
            state.clients[client] = rest > 0 ? rest : nil
        }
    }
}
