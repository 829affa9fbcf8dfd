import Catalogues
import Datasets
import Bytes
import Messages
import Testing

@Suite struct SyntheticWorldTests {
    @Test func theSameSeedMakesTheSameWorld() throws {
        let (one, two) = (try SyntheticWorld(), try SyntheticWorld())
        #expect(one.catalogue == two.catalogue)
        #expect(one.viewer(3).events == two.viewer(3).events)
        let other = try SyntheticWorld(.init(seed: 2))
        #expect(other.catalogue != one.catalogue)
        #expect(other.viewer(3).events != one.viewer(3).events)
    }

    @Test func titlesAreDistinctAndEveryGenreHasFilms() throws {
        let world = try SyntheticWorld()
        #expect(Set(world.catalogue.items.map(\.title)).count == world.catalogue.count)
        #expect(world.catalogue.items.allSatisfy { (1...2).contains($0.categories.count) })
        #expect(world.catalogue.items.allSatisfy { $0.title.hasSuffix(")") })
        #expect(SyntheticWorld.genres.allSatisfy { world.films(of: $0).count > world.configuration.maximumEvents / 4 })
    }

    @Test func viewersFollowTheirTasteAndNeverWatchTwice() throws {
        let world = try SyntheticWorld()
        var (loyal, all) = (0, 0)
        var (liked, likedCount, other, otherCount) = (Float(0), Float(0), Float(0), Float(0))
        var changes = 0
        for index in 0..<200 {
            let viewer = world.viewer(index)
            #expect(Set(viewer.events.map(\.item)).count == viewer.events.count)
            #expect(zip(viewer.events, viewer.events.dropFirst()).allSatisfy { $0.time < $1.time })
            #expect(viewer.events.count == viewer.favouriteGenres.count)
            changes += zip(viewer.favouriteGenres, viewer.favouriteGenres.dropFirst()).count { $0 != $1 }
            for (event, genre) in zip(viewer.events, viewer.favouriteGenres) {
                let item = try #require(world.catalogue.item(event.item))
                let rating = try #require(event.rating)
                all += 1
                if item.categories.contains(genre) {
                    loyal += 1
                    (liked, likedCount) = (liked + rating, likedCount + 1)
                } else {
                    (other, otherCount) = (other + rating, otherCount + 1)
                }
            }
        }
        #expect(Double(loyal) / Double(all) > 0.85)
        #expect(liked / likedCount > other / otherCount + 1)
        #expect(changes > 200)
    }

    @Test func aContinuationIsOfTheNewGenreAndUnseen() throws {
        let world = try SyntheticWorld()
        let viewer = world.viewer(5)
        let more = world.continuation(of: viewer.events, genre: "Horror", count: 20, seed: 1)
        #expect(more.count == 20)
        #expect(more.allSatisfy { world.catalogue.item($0.item)?.categories.contains("Horror") == true })
        #expect(Set((viewer.events + more).map(\.item)).count == viewer.events.count + 20)
        #expect(more.allSatisfy { $0.user == viewer.id && $0.time > viewer.events.last?.time ?? 0 })
        #expect(Set((viewer.events + more).compactMap(\.id)).count == viewer.events.count + 20)
    }

    @Test func numbersOutOfRangeAreNamed() {
        do {
            _ = try SyntheticWorld(.init(filmCount: 40, maximumEvents: 90))
            Issue.record("made a world with more events than films")
        } catch {
            #expect(error.field == "most events" && error.value == "90")
        }
    }
}
