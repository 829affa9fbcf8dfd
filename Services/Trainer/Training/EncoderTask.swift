import NeuralNetwork
import Synchronization
import UserModels

/// Trains a user encoder on windows of users' histories.
final class EncoderTask: TrainingTask {
    let encoder: any UserEncoder
    let histories: Histories
    let batchCount: Int
    let seed: UInt64
    let weightDecay: Float
    private let schedule: Mutex<WindowSchedule>
    private let sampler: NegativeSampler

    init(encoder: any UserEncoder, histories: Histories, batchCount: Int, seed: UInt64, weightDecay: Float) {
        self.encoder = encoder
        self.histories = histories
        self.batchCount = batchCount
        self.seed = seed
        self.weightDecay = weightDecay
        schedule = Mutex(histories.schedule(length: encoder.configuration.length, seed: seed))
        sampler = NegativeSampler(loss: encoder.configuration.loss, trainingCounts: histories.itemCounts)
    }

    let metricName = "validation HR@10"

    var parameters: [Parameter] { encoder.parameters }

    var groups: [AdamW.Group] { AdamW.Group.byDecay(parameters, weightDecay: weightDecay) }

    func shards(ofStep step: Int, count: Int) -> [NextEventBatch] {
        let windows = schedule.withLock { $0.windows(step * batchCount..<(step + 1) * batchCount) }
        return (0..<count).map { shard in
            let part = windows[shard * batchCount / count..<(shard + 1) * batchCount / count]
            var random = SeededRandom(seed: SeededRandom.mix(seed, 1, UInt64(step), UInt64(shard)))
            var batch = encoder.trainingBatch(
                part.map { histories.events[$0.user][$0.range] },
                using: &random
            )
            batch.negatives = sampler.negatives(for: batch.targetItems, using: &random)
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
