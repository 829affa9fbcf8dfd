import Catalogues
import Datasets
import Messages
import ServiceRuntime
import UserModels

/// Asks a bundle about viewers of the synthetic world whose taste changes, and checks the answers against the truth.
///
/// The viewers are not among those that were written out, so the model has seen neither them nor their histories.
struct WorldEvaluation: Sendable {
    let bundle: ModelBundle
    let world: SyntheticWorld
    /// The number of events of the new favourite genre.
    let newEvents: Int

    /// The results over all viewers.
    struct Result: Sendable, Equatable {
        /// Viewers evaluated.
        var viewers = 0
        /// The next title is of the favourite genre before the change.
        var rightBefore = 0
        /// The next title is of the new genre before the change, by chance.
        var newGenreBefore = 0
        /// The next title is of the new genre after the change.
        var rightAfter = 0
        /// The next title after the change is one the viewer has seen.
        var seenAfter = 0
    }

    /// Evaluates a number of viewers.
    ///
    /// - Throws: `ProcessFailure` if the bundle has other films, `AnswerError`.
    func evaluate(viewers count: Int) throws -> Result {
        guard bundle.catalogue.items.allSatisfy({ world.catalogue.item($0.id) == $0 }) else {
            throw ProcessFailure(
                "the bundle \(bundle.version) was trained on other films than this world has; give the world it was trained on",
                exitCode: .badInput
            )
        }
        let encoder = try bundle.makeEncodingEngine(threads: 1)
        let answerer = try bundle.makeAnsweringEngine(configuration: .evaluation(threads: 1))
        var result = Result()
        for index in 0..<count {
            let viewer = world.viewer(world.configuration.viewerCount + index)
            guard let present = viewer.favouriteGenres.last else { continue }
            let others = SyntheticWorld.genres.filter { $0 != present }
            let new = others[index % others.count]
            let more = world.continuation(of: viewer.events, genre: new, count: newEvents, seed: UInt64(index))
            func answer(_ events: [Event]) throws -> CatalogueItem? {
                let timeline = events.suffix(bundle.timelineLength).map { TimelineEvent($0) }
                let request = AnswerRequest(text: UserTask.nextTitle.trainingPhrasings[0], form: .title, itemCount: 1)
                let items = try answerer.answer(request, context: UserContext(encoder.encode([timeline])[0])).items
                return items.first.flatMap { world.catalogue.item($0.id) }
            }
            let before = try answer(viewer.events)
            let after = try answer(viewer.events + more)
            result.viewers += 1
            result.rightBefore += before?.categories.contains(present) == true ? 1 : 0
            result.newGenreBefore += before?.categories.contains(new) == true ? 1 : 0
            result.rightAfter += after?.categories.contains(new) == true ? 1 : 0
            let seen = Set((viewer.events + more).map(\.item))
            result.seenAfter += after.map { seen.contains($0.id) } == true ? 1 : 0
        }
        return result
    }
}
