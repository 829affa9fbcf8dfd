import Catalogues
import Datasets
import LanguageEngine
import Messages
import ServiceRuntime
import UserModels

/// Learns how much language model and encoder should count in a bundle's answers, from users' validation events.
///
/// A user's timeline up to the last event but one is encoded, the title of that event is read by the language model, and
/// at each of its branches both say how likely the children are. Items that the user has had before take no part, as in
/// answers. The test events are never looked at.
struct FusionLearning {
    let bundle: ModelBundle
    let histories: Histories
    let threads: Int

    /// What one user shows.
    struct Observation: Sendable {
        /// The choices on the way to the true title.
        var branches: [AnswerBranch] = []
        /// The choice of the true item among the titles that the language model finds likeliest; nil when it is not
        /// among them.
        var late: AnswerBranch?
    }

    /// Users who are asked about at the same time.
    private static let batchCount = 16
    /// How many titles late fusion ranks.
    static let lateCount = 50
    /// What keeps the weights of all branches finite where users are few.
    private static let weakPull = 0.01
    /// What holds the weights of one kind of branches to those of all, where it is rare.
    private static let pull = 1.0

    /// Reads the validation events of some users.
    ///
    /// - Throws: `ProcessFailure` when the process is asked to stop; `AnswerError`.
    func observe(_ users: [Int], until shutdown: Shutdown) throws -> [Observation] {
        let encoder = try bundle.makeEncodingEngine(threads: threads)
        let answerer = try bundle.makeAnsweringEngine(
            configuration: .evaluation(threads: threads),
            fusion: .languageModelAlone
        )
        let scorer = ItemScorer(bundle.encoder)
        var observations: [Observation] = []
        for start in stride(from: 0, to: users.count, by: Self.batchCount) {
            if shutdown.isRequested { throw ProcessFailure("stopped: nothing was written", exitCode: .interrupted) }
            let batch = Array(users[start..<min(start + Self.batchCount, users.count)])
            observations += try observe(batch, encoder, answerer, scorer)
        }
        return observations
    }

    private func observe(
        _ users: [Int],
        _ encoder: EncodingEngine,
        _ answerer: AnsweringEngine,
        _ scorer: ItemScorer
    ) throws -> [Observation] {
        let dataset = histories.dataset
        let timelines = users.map { user in
            let target = histories.target(.validation, user: user)
            return dataset.timeline(user: user, max(target - bundle.timelineLength, 0)..<target)
        }
        let encoded = encoder.encode(timelines)
        var asked: [AnswerID: (index: Int, isLate: Bool)] = [:]
        for (index, user) in users.enumerated() {
            let target = histories.target(.validation, user: user)
            let item = dataset.item(user: user, target)
            // Items without a title are never answers.
            if bundle.answers.tokens(ofTitle: item).isEmpty { continue }
            var request = AnswerRequest(text: UserTask.nextTitle.trainingPhrasings[0], form: .title)
            // An item that was had before can be the next one all the same, and must have a title to read.
            let seen = Set((0..<target).map { dataset.item(user: user, $0) }).subtracting([item])
            request.excludedItems = Set(seen.map { dataset.catalogue.items[$0].id })
            request.itemCount = min(Self.lateCount, dataset.catalogue.count)
            let context = encoded[index].context
            asked[try answerer.submit(request, context: UserContext(rows: context))] = (index, true)
            request.givenItem = dataset.catalogue.items[item].id
            asked[try answerer.submit(request, context: UserContext(encoded[index]))] = (index, false)
        }
        var observations = [Observation](repeating: Observation(), count: users.count)
        while !asked.isEmpty {
            for case .finished(let id, let end) in try answerer.step() {
                guard let (index, isLate) = asked.removeValue(forKey: id) else { continue }
                let answer = try end.get()
                if isLate {
                    let item = dataset.item(user: users[index], histories.target(.validation, user: users[index]))
                    observations[index].late = LateFusion.candidates(
                        answer,
                        bundle.catalogue,
                        scores: scorer.scores(encoded[index].pooled),
                        target: item
                    )
                } else {
                    observations[index].branches = answer.branches.filter { !$0.encoder.isEmpty }
                }
            }
        }
        return observations
    }

    /// The likeliest weights.
    ///
    /// - Parameters:
    ///   - observations: what users show.
    ///   - kinds: how many kinds of branches have weights of their own.
    /// - Returns: weights for a bundle.
    static func weights(_ observations: [Observation], kinds: Int) -> FusionWeights {
        let branches = observations.flatMap(\.branches)
        let alone = FusionWeights.Pair(languageModel: 1, encoder: 0)
        let joint = BranchRegression(branches).fit(from: alone, pull: weakPull)
        var weights = FusionWeights(branches: [FusionWeights.Pair](repeating: joint, count: kinds))
        if kinds > 1 {
            let byKind = Dictionary(grouping: branches) { weights.kind(ofBranch: $0.depth) }
            weights.branches = (0..<kinds).map { kind in
                BranchRegression(byKind[kind] ?? []).fit(from: joint, pull: pull)
            }
        }
        let late = BranchRegression(observations.compactMap(\.late))
        if !late.branches.isEmpty {
            weights.late = late.fit(from: alone, pull: weakPull, keepsLanguageModel: true).encoder
        }
        return weights
    }

    /// The mean logarithm of the true titles' probabilities under some weights, in nats.
    static func logLikelihood(_ observations: [Observation], _ weights: FusionWeights) -> Double {
        let byKind = Dictionary(grouping: observations.flatMap(\.branches)) { weights.kind(ofBranch: $0.depth) }
        let sum = byKind.sorted { $0.key < $1.key }.reduce(0) { sum, group in
            sum + BranchRegression(group.value).logLikelihood(weights.branches[group.key])
        }
        return sum / Double(max(observations.count, 1))
    }
}
