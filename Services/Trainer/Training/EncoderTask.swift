import NeuralNetwork
import Synchronization
import UserModels

/// Trains the user encoder to predict each next event.
final class EncoderTask: TrainingTask {
    let encoder: AutoregressiveEncoder
    let histories: Histories
    let batchCount: Int
    let seed: UInt64
    let weightDecay: Float
    private let schedule: Mutex<WindowSchedule>

    init(encoder: AutoregressiveEncoder, histories: Histories, batchCount: Int, seed: UInt64, weightDecay: Float) {
        self.encoder = encoder
        self.histories = histories
        self.batchCount = batchCount
        self.seed = seed
        self.weightDecay = weightDecay
        schedule = Mutex(histories.schedule(length: encoder.configuration.length, seed: seed))
    }

    let metricName = "validation HR@10"

    var parameters: [Parameter] { encoder.parameters }

    var groups: [AdamW.Group] {
        // Tables and vectors do not decay: a row that is not in the batch would shrink for nothing.
        let products = encoder.parameters.filter { $0.shape.count == 2 && $0.name.contains("blocks.") }
        let names = Set(products.map(\.name))
        return [
            AdamW.Group(products, weightDecay: weightDecay),
            AdamW.Group(encoder.parameters.filter { !names.contains($0.name) }),
        ]
    }

    func shards(ofStep step: Int, count: Int) -> [NextEventBatch] {
        let windows = schedule.withLock { $0.windows(step * batchCount..<(step + 1) * batchCount) }
        let configuration = encoder.configuration
        return (0..<count).map { shard in
            let part = windows[shard * batchCount / count..<(shard + 1) * batchCount / count]
            var batch = NextEventBatch(windows: part.map { histories.events[$0.user][$0.range] })
            var random = SeededRandom(seed: SeededRandom.mix(seed, 1, UInt64(step), UInt64(shard)))
            batch.events.hideItems(
                probability: configuration.hiddenItemShare,
                buckets: configuration.features.unknownItemBuckets,
                using: &random
            )
            return batch
        }
    }

    func targetCount(_ shard: NextEventBatch) -> Int { shard.targetCount }

    func loss(_ graph: Graph, _ shard: NextEventBatch, of shards: [NextEventBatch]) -> Variable? {
        let total = shards.reduce(0) { $0 + $1.targetCount }
        return shard.targetCount == 0 ? nil : encoder.loss(graph, shard, targetCount: total)
    }

    func validate(threads: Int) -> Double {
        EncoderEvaluation(encoder: encoder, histories: histories, threads: threads)
            .ranks(.validation, users: histories.validatedUsers).filtered.hitRate(at: 10)
    }
}
