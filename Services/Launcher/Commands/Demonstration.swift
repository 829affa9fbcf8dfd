import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Flows
import SystemClient
import UserModels

/// Users of the synthetic world whom the model has never seen: their answers before and after their taste changed.
struct Demonstration: Sendable {
    /// One user's story, and the world's ground truth.
    private struct Story: Sendable {
        let user: UserID
        let genreBefore: String
        let genreAfter: String
        let titleBefore: Answer
        let titleAfter: Answer
        let favouriteBefore: Answer
        let favouriteAfter: Answer
        /// The genres most frequent in the timeline that the model reads: more than one where they are even.
        let mostFrequentBefore: [String]
        let mostFrequentAfter: [String]
    }

    /// How many events of another genre each user gets.
    static let newEventCount = 20

    private let world: SyntheticWorld
    private let client: SystemClient
    private let console: Console
    private let features: EventFeatures
    /// How many of a user's events the model reads.
    private let timelineLength: Int

    /// Prepares a demonstration.
    init(world: SyntheticWorld, timelineLength: Int, client: SystemClient, console: Console) {
        self.world = world
        self.timelineLength = timelineLength
        self.client = client
        self.console = console
        features = EventFeatures(configuration: EventFeatures.Configuration(), catalogue: world.catalogue)
    }

    /// Sends events, asks, sends more events, asks again, and prints the tables.
    func run(users: Int) async throws {
        console.say("feeding the histories of \(users) users the model has not seen, and asking about each")
        var stories: [Story] = []
        for index in 0..<users { stories.append(try await story(index)) }
        console.show("\nWhat will the user watch next?\n" + titleTable(stories))
        console.show("\nThe user's favourite genre\n" + favouriteTable(stories))
        let changed = stories.filter(isChanged).count
        let known = stories.filter { $0.favouriteAfter.text == $0.genreAfter }.count
        let rightBefore = stories.filter { $0.mostFrequentBefore.contains($0.favouriteBefore.text) }.count
        let rightAfter = stories.filter { $0.mostFrequentAfter.contains($0.favouriteAfter.text) }.count
        console.show(
            """

            \(changed) of \(stories.count) changed: the next title is of the new genre after \(Self.newEventCount) \
            events of it, and was not before
            \(known) of \(stories.count) favourite genres follow; \(rightBefore) of \(stories.count) were the most frequent \
            genre of the last \(timelineLength) events before the change, \(rightAfter) of \(stories.count) are after it
            """
        )
    }

    private func story(_ index: Int) async throws -> Story {
        // Viewers beyond those that were written out were in no training set.
        let viewer = world.viewer(world.configuration.viewerCount + index)
        // A data folder that was used before already has this user's events, including the change.
        let user = UserID("\(viewer.id)-\(UUID().uuidString.prefix(8).lowercased())")
        let past = viewer.events.map { renamed($0, to: user) }
        try await client.send(past)
        let titleBefore = try await ask(user, knowing: past.count, form: .title)
        let favouriteBefore = try await ask(user, knowing: past.count, form: .category)

        let genre = otherGenre(than: [titleBefore, favouriteBefore], viewer, index)
        let change = world.continuation(
            of: past,
            genre: genre,
            count: Self.newEventCount,
            seed: world.configuration.seed &+ UInt64(index)
        )
        try await client.send(change)
        let known = past.count + change.count
        return Story(
            user: viewer.id,
            genreBefore: viewer.favouriteGenres.last ?? "",
            genreAfter: genre,
            titleBefore: titleBefore,
            titleAfter: try await ask(user, knowing: known, form: .title),
            favouriteBefore: favouriteBefore,
            favouriteAfter: try await ask(user, knowing: known, form: .category),
            mostFrequentBefore: mostFrequent(past),
            mostFrequentAfter: mostFrequent(past + change)
        )
    }

    /// What a question about the favourite genre is trained to answer.
    private func mostFrequent(_ events: [Event]) -> [String] {
        let read = events.suffix(timelineLength).map { TimelineEvent($0) }
        return UserTask.favouriteCategories(of: features.indexed(read)).map { world.catalogue.categories[Int($0)] }
    }

    private func renamed(_ event: Event, to user: UserID) -> Event {
        var event = event
        event.user = user
        return event
    }

    /// A genre that neither the user's true taste nor the answers so far name.
    private func otherGenre(than answers: [Answer], _ viewer: SyntheticWorld.Viewer, _ index: Int) -> String {
        let known = Set(answers.flatMap { [$0.text] + genres(of: $0) } + [viewer.favouriteGenres.last ?? ""])
        let others = SyntheticWorld.genres.filter { !known.contains($0) }
        return others[index % others.count]
    }

    private func ask(_ user: UserID, knowing count: Int, form: Question.AnswerForm) async throws -> Answer {
        let now = WallClock.milliseconds
        return try await client.ask(
            Question(
                id: QuestionID(UUID().uuidString.lowercased()),
                user: user,
                text: form == .title ? "What will the user watch next?" : "What is the user's favourite genre?",
                form: form,
                itemCount: 5,
                minimumEventCount: UInt64(count),
                askedAt: now,
                deadline: now + 60_000
            )
        )
    }

    // MARK: - Results

    private func genres(of answer: Answer) -> [String] {
        answer.items.first.flatMap { world.catalogue.index(of: $0.id) }.map { world.catalogue.items[$0].categories }
            ?? []
    }

    private func isChanged(_ story: Story) -> Bool {
        genres(of: story.titleAfter).contains(story.genreAfter)
            && !genres(of: story.titleBefore).contains(story.genreAfter)
    }

    private func titleTable(_ stories: [Story]) -> String {
        var table = TextTable(["user", "truth", "answer", "of genre", "truth now", "answer now", "of genre", "changed"])
        for story in stories {
            table.add([
                story.user.text, story.genreBefore, shown(story.titleBefore),
                genres(of: story.titleBefore).joined(separator: ", "),
                story.genreAfter, shown(story.titleAfter), genres(of: story.titleAfter).joined(separator: ", "),
                isChanged(story) ? "yes" : "no",
            ])
        }
        return table.text
    }

    private func favouriteTable(_ stories: [Story]) -> String {
        var table = TextTable([
            "user", "most frequent", "answer", "events", "new", "most frequent now", "answer now", "events now",
        ])
        for story in stories {
            table.add([
                story.user.text, story.mostFrequentBefore.joined(separator: ", "), shown(story.favouriteBefore),
                "\(story.favouriteBefore.eventCount)", story.genreAfter,
                story.mostFrequentAfter.joined(separator: ", "), shown(story.favouriteAfter),
                "\(story.favouriteAfter.eventCount)",
            ])
        }
        return table.text
    }

    private func shown(_ answer: Answer) -> String {
        answer.text.isEmpty ? "(\(answer.status.rawValue): \(answer.reason))" : answer.text
    }
}
