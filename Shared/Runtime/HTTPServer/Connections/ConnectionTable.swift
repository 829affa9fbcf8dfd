/// The connections of a server: which client each belongs to, and which of them are idle between requests.
///
/// When there are too many, of one client or of all, the one that has been idle longest makes room for the newest: a
/// client that opens thousands and sends nothing loses them, and nobody else is kept out. Every step takes constant
/// time, because the library's thread executes it. Slots are reused; a use count in the id tells an old connection from
/// its successor.
struct ConnectionTable {
    /// Names a connection.
    struct ID: Equatable, Sendable {
        fileprivate let place: Int
        fileprivate let use: Int

        /// As one word, which is never zero.
        var word: UInt64 { UInt64(use) << 32 | UInt64(place) }

        fileprivate init(place: Int, use: Int) {
            self.place = place
            self.use = use
        }

        /// The id that a word encodes.
        init(word: UInt64) {
            place = Int(word & 0xFFFF_FFFF)
            use = Int(word >> 32)
        }
    }

    /// The decision about a new connection.
    enum Admission: Equatable {
        /// It is accepted.
        case taken
        /// It is accepted, once the connection of this descriptor ends.
        case takenInsteadOf(descriptor: Int32)
        /// All others are busy: its request is to be refused.
        case refused
    }

    private struct Entry {
        var use = 1
        var isOpen = false
        var descriptor: Int32 = -1
        var client = -1
        var isIdle = false
        var isDropped = false
        var isRefused = false
        var isGone = false
        var exchange: HTTPExchange?
    }

    private struct Client {
        var address = IPAddress.none
        var count = 0
        var idle = PlaceQueue()
    }

    private let maximumCount: Int
    private let maximumCountPerClient: Int
    private var entries: [Entry] = []
    private var free: [Int] = []
    private var clients: [Client] = []
    private var freeClients: [Int] = []
    private var clientPlaces: [IPAddress: Int] = [:]
    private var idle = PlaceQueue()
    private var links: [PlaceQueue.Links] = []
    private var clientLinks: [PlaceQueue.Links] = []
    /// Connections that count: those that were dropped do not.
    private(set) var count = 0

    init(maximumCount: Int, maximumCountPerClient: Int) {
        self.maximumCount = maximumCount
        self.maximumCountPerClient = maximumCountPerClient
    }

    /// The exchanges that the connections work on.
    var exchanges: [HTTPExchange] { entries.compactMap(\.exchange) }

    // MARK: - Connections

    /// Notes a new connection, which waits for its first request.
    mutating func open(descriptor: Int32, address: IPAddress) -> (id: ID, admission: Admission) {
        let place = free.popLast() ?? entries.count
        if place == entries.count {
            entries.append(Entry())
            links.append(.init())
            clientLinks.append(.init())
        }
        let client = clientPlace(of: address.client)
        entries[place] = Entry(use: entries[place].use, isOpen: true, descriptor: descriptor, client: client)
        count += 1
        clients[client].count += 1
        // Before the newest is in the queues, so that it never evicts itself.
        let admission = makeRoom(for: client)
        entries[place].isRefused = admission == .refused
        append(place)
        return (ID(place: place, use: entries[place].use), admission)
    }

    private mutating func clientPlace(of address: IPAddress) -> Int {
        if let place = clientPlaces[address] { return place }
        let place = freeClients.popLast() ?? clients.count
        if place == clients.count { clients.append(Client()) }
        clients[place] = Client(address: address)
        clientPlaces[address] = place
        return place
    }

    private mutating func makeRoom(for client: Int) -> Admission {
        let isClientFull = clients[client].count > maximumCountPerClient
        guard isClientFull || count > maximumCount else { return .taken }
        let oldest = isClientFull ? clients[client].idle.oldest : idle.oldest
        guard oldest >= 0 else { return .refused }
        unlink(oldest)
        entries[oldest].isDropped = true
        uncount(entries[oldest].client)
        return .takenInsteadOf(descriptor: entries[oldest].descriptor)
    }

    /// Forgets a connection that was closed.
    mutating func close(_ id: ID) {
        guard holds(id) else { return }
        unlink(id.place)
        if !entries[id.place].isDropped { uncount(entries[id.place].client) }
        // The use count must fit into half a word, and is never zero.
        entries[id.place] = Entry(use: id.use == 0x7FFF_FFFF ? 1 : id.use + 1)
        free.append(id.place)
    }

    private mutating func uncount(_ client: Int) {
        count -= 1
        clients[client].count -= 1
        guard clients[client].count == 0 else { return }
        clientPlaces[clients[client].address] = nil
        freeClients.append(client)
    }

    private func holds(_ id: ID) -> Bool {
        entries.indices.contains(id.place) && entries[id.place].use == id.use && entries[id.place].isOpen
    }

    /// The client's address, and whether its request is to be refused.
    func client(of id: ID) -> (address: IPAddress, isRefused: Bool) {
        guard holds(id), !entries[id.place].isDropped else { return (.none, true) }
        return (clients[entries[id.place].client].address, entries[id.place].isRefused)
    }

    // MARK: - Requests

    /// Notes the request that a connection has begun to send.
    mutating func attach(_ exchange: HTTPExchange, to id: ID) {
        if holds(id) { entries[id.place].exchange = exchange }
    }

    /// Notes that a request is complete and is worked on.
    ///
    /// - Returns: whether its client has gone in the meantime.
    mutating func becomesBusy(_ id: ID) -> Bool {
        guard holds(id) else { return true }
        unlink(id.place)
        return entries[id.place].isGone || entries[id.place].isDropped
    }

    /// Notes that a request is over.
    mutating func becomesIdle(_ id: ID) {
        guard holds(id) else { return }
        entries[id.place].exchange = nil
        if !entries[id.place].isDropped, !entries[id.place].isIdle { append(id.place) }
    }

    /// Notes that a client has gone.
    ///
    /// - Returns: the exchange that was in progress for it.
    mutating func hangUp(_ id: ID) -> HTTPExchange? {
        guard holds(id) else { return nil }
        entries[id.place].isGone = true
        return entries[id.place].exchange
    }

    // MARK: - Queues

    private mutating func append(_ place: Int) {
        entries[place].isIdle = true
        idle.append(place, &links)
        clients[entries[place].client].idle.append(place, &clientLinks)
    }

    private mutating func unlink(_ place: Int) {
        guard entries[place].isIdle else { return }
        entries[place].isIdle = false
        idle.remove(place, &links)
        clients[entries[place].client].idle.remove(place, &clientLinks)
    }
}

/// A queue from the middle of which any slot can be removed; its links lie beside it, one for each slot.
struct PlaceQueue {
    /// The slots before and after one; negative when there are none.
    struct Links {
        var older = -1
        var newer = -1
    }

    private(set) var oldest = -1
    private var newest = -1

    mutating func append(_ place: Int, _ links: inout [Links]) {
        links[place] = Links(older: newest)
        if newest >= 0 { links[newest].newer = place } else { oldest = place }
        newest = place
    }

    mutating func remove(_ place: Int, _ links: inout [Links]) {
        let (older, newer) = (links[place].older, links[place].newer)
        if older >= 0 { links[older].newer = newer } else { oldest = newer }
        if newer >= 0 { links[newer].older = older } else { newest = older }
    }
}
