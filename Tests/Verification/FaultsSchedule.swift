import RandomNumbers

/// Something that goes wrong at a time of the run.
public struct Fault: Codable, Sendable, Equatable, CustomStringConvertible {
    /// What can go wrong.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// `kill -9` of a service.
        case kill
        /// SIGTERM of a service, which must end by itself.
        case terminate
        /// SIGSTOP for longer than the session, then SIGCONT: a zombie.
        case stop
        /// The same with an additional encoder worker whose session is short.
        case stopAdditional = "stop-additional"
        /// `kill -9` of the database's first process.
        case killDatabase = "kill-database"
        /// SIGSTOP of all processes of the database: it is there and does not answer.
        case stopDatabase = "stop-database"
        /// The database's disk is full.
        case fillDisk = "fill-disk"
        /// The database ends connections.
        case cutConnections = "cut-connections"
        /// `kill -9` of the broker.
        case killBroker = "kill-broker"
        /// SIGSTOP of the broker.
        case stopBroker = "stop-broker"
        /// Nothing passes between the additional processes and the log for a while, and no connection is closed.
        case holdNetwork = "hold-network"
        /// Records in `user-events` that are no events.
        case poison
        /// One more encoder worker.
        case moreWorkers = "more-workers"
        /// One additional encoder worker less, by SIGTERM.
        case fewerWorkers = "fewer-workers"
        /// An additional process that ends at a place of its commit.
        case failpoint
    }

    /// When, in seconds from the start.
    public var at: Double
    /// What.
    public var kind: Kind
    /// Which service or failpoint; empty where the kind says it.
    public var target: String
    /// Which process of the service.
    public var instance: Int
    /// How long, in seconds; 0 where it is over at once.
    public var duration: Double

    /// Kind and target, for counting.
    public var name: String { target.isEmpty ? kind.rawValue : "\(kind.rawValue) \(target)" }

    /// One line.
    public var description: String {
        let which = instance > 0 ? " \(instance)" : ""
        let long = duration > 0 ? " for \(duration) s" : ""
        return "\(at) s: \(name)\(which)\(long)"
    }
}

/// Faults drawn from a seed: the same seed gives the same faults at the same times.
public struct FaultsSchedule: Sendable {
    /// What the faults may be.
    public struct Options: Sendable {
        /// Whether the log is Kafka.
        public var hasBroker: Bool
        /// How many encoder workers and writers the launcher runs.
        public var workers = 2
        /// How many event ingestors the launcher runs.
        public var ingestors = 2
        /// Over how many seconds.
        public var seconds: Double
        /// Whether the database's disk can be filled.
        public var canFillDisk = false
        /// Whether the additional workers commit offsets and outputs apart.
        public var commitsApart = false
        /// What may go wrong; empty stands for everything that can.
        public var kinds: Set<Fault.Kind> = []

        /// Makes options.
        public init(hasBroker: Bool, seconds: Double) {
            self.hasBroker = hasBroker
            self.seconds = seconds
        }

        /// A run shorter than two minutes has no time for sessions of the usual length.
        var isShort: Bool { seconds < 120 }
    }

    /// The faults, by time.
    public let faults: [Fault]
    private static let poisonPerMinute = 8
    private static let workerFailpoints = [
        "encoder.after-timelines", "encoder.after-embeddings", "encoder.after-commit",
    ]
    private static let logFailpoints = [
        true: ["kafka.after-begin", "kafka.after-records", "kafka.after-offsets", "kafka.after-commit"],
        false: ["postgres.before-commit", "postgres.after-commit"],
    ]
    private static let writerFailpoints = ["writer.before-commit", "writer.after-commit"]

    /// Draws faults.
    public init(seed: UInt64, _ options: Options) {
        var random = SeededRandom(seed: SeededRandom.mix(seed, options.hasBroker ? 1 : 0))
        var faults: [Fault] = []
        var time = 2.0
        let weights = Self.weights(options)
        while !weights.isEmpty, time < options.seconds {
            faults.append(Self.draw(at: time, weights, options, &random))
            // Some come together.
            let gap = random.below(5) == 0 ? 0.2 : options.isShort ? 1.5 : 3.5
            time += gap * (0.3 + 1.4 * random.uniformDouble())
        }
        self.faults = Self.limitingPoison(faults)
    }

    private static func draw(
        at time: Double,
        _ weights: [(Fault.Kind, Double)],
        _ options: Options,
        _ random: inout SeededRandom
    ) -> Fault {
        let kind = weights[random.index(weights: weights.map(\.1))].0
        var fault = Fault(at: rounded(time), kind: kind, target: "", instance: 0, duration: 0)
        func draw(_ range: ClosedRange<Double>) -> Double {
            rounded(range.lowerBound + (range.upperBound - range.lowerBound) * random.uniformDouble())
        }
        func draw(_ services: [String]) {
            fault.target = services[random.below(services.count)]
            let counts = ["encoder-worker": options.workers, "event-ingestor": options.ingestors]
            fault.instance = random.below(counts[fault.target] ?? 1)
        }
        switch kind {
        case .kill, .terminate:
            // Twice those that carry the events.
            let stream = ["encoder-worker", "embedding-writer", "event-ingestor"]
            draw(stream + stream + ["llm-responder", "gateway"])
        case .stop:
            draw(["encoder-worker", "encoder-worker", "embedding-writer", "event-ingestor"])
            fault.duration = draw(11.5...15)
        case .stopAdditional: fault.duration = draw(3.5...6)
        case .holdNetwork:
            fault.target = ["encoder-worker", "embedding-writer"][random.below(2)]
            fault.duration = options.isShort ? draw(3.5...6) : draw(3.5...20)
        case .stopDatabase, .stopBroker: fault.duration = options.isShort ? draw(1...3) : draw(2...14)
        case .fillDisk: fault.duration = draw(3...9)
        case .killBroker: fault.duration = options.isShort ? 0 : draw(0...6)
        case .poison: fault.instance = 1 + random.below(3)
        case .failpoint:
            let names =
                workerFailpoints + logFailpoints[options.hasBroker, default: []] + writerFailpoints
                + (options.commitsApart ? ["commit.between-offsets-and-outputs"] : [])
            let actions = ["kill", "kill", "kill-in=0.5", "kill-in=2", "exit", "stop"]
            let name = names[random.below(names.count)]
            fault.target = "\(name):\(actions[random.below(actions.count)])"
            fault.instance = 1 + random.below(6)
            fault.duration = options.isShort ? 6 : 10
        case .killDatabase, .cutConnections, .moreWorkers, .fewerWorkers: break
        }
        return fault
    }

    private static func weights(_ options: Options) -> [(Fault.Kind, Double)] {
        var weights: [(Fault.Kind, Double)] = [
            (.kill, 6), (.terminate, 3), (.stopAdditional, 2), (.killDatabase, 1.5), (.stopDatabase, 1.5),
            (.cutConnections, 3), (.poison, 1.5), (.moreWorkers, 3), (.fewerWorkers, 1.5), (.failpoint, 4),
            (.holdNetwork, 2),
        ]
        if !options.isShort { weights.append((.stop, 2.5)) }
        if options.hasBroker { weights += [(.killBroker, options.isShort ? 0.7 : 1.5), (.stopBroker, 1.5)] }
        if options.canFillDisk { weights.append((.fillDisk, 1)) }
        return weights.filter { options.kinds.isEmpty || options.kinds.contains($0.0) }
    }

    /// More records that are no events would rightly stop the workers.
    private static func limitingPoison(_ faults: [Fault]) -> [Fault] {
        var counts: [Int: Int] = [:]
        return faults.filter { fault in
            guard fault.kind == .poison else { return true }
            counts[Int(fault.at / 60), default: 0] += fault.instance
            return counts[Int(fault.at / 60), default: 0] <= poisonPerMinute
        }
    }

    private static func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}
