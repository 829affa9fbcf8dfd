import Bytes
import Testing

@testable import Datasets

@Suite struct ColumnTests {
    @Test func ratingsAreKeptExactlyHoweverManyDifferentOnesThereAre() {
        var column = RatingColumn()
        let ratings: [Float] = (0..<1_000).map { $0 % 7 == 0 ? .nan : Float($0 % 400) / 8 }
        for rating in ratings { column.append(rating) }
        var set = RatingColumn(count: ratings.count)
        for (index, rating) in ratings.enumerated() { set[index] = rating }
        for (index, rating) in ratings.enumerated() {
            #expect(column[index].bitPattern == rating.bitPattern || (column[index].isNaN && rating.isNaN))
            #expect(set[index].bitPattern == rating.bitPattern || (set[index].isNaN && rating.isNaN))
        }
        #expect(column.count == 1_000)
    }

    @Test(arguments: [1_500, -1, 5_000_000_000_000, Int64.max])
    func timesAreKeptExactlyAlsoWhereTheyAreNoWholeSeconds(odd: Int64) {
        var column = TimeColumn()
        var set = TimeColumn(count: 4, isWide: false)
        let times: [Int64] = [0, 1_000, odd, 4_294_967_295_000]
        for (index, time) in times.enumerated() {
            column.append(time)
            set[index] = time
        }
        #expect(times.indices.map { column[$0] } == times && times.indices.map { set[$0] } == times)
        #expect(column.isWide && set.isWide)
    }

    @Test func idsAreNumberedInOrderOfTheirFirstOccurrence() {
        var table = IDTable()
        // Of every length around the seven bytes that are their own key, with a common beginning and end.
        let ids = (0..<20_000).map { "u\(String(repeating: "x", count: $0 % 12))\($0)" } + ["", "\0", "\0\0", "é"]
        for _ in 0..<2 {
            for (number, id) in ids.enumerated() {
                let bytes = Array("<\(id)>".utf8)
                #expect(table.number(of: bytes, 1..<(bytes.count - 1)) == number)
            }
        }
        #expect(table.count == ids.count)
        #expect(ids.indices.allSatisfy { table.text($0) == ids[$0] })
        #expect(table.knownNumber(of: Array("u".utf8), 0..<1) == nil)
        let bad = table.number(of: [0xFF], 0..<1)
        #expect(table.text(bad) == nil)
    }

    @Test func eventsOfOneTimeKeepTheirOrder() throws {
        var gatherer = EventGatherer()
        var row = EventRow()
        for (user, item, time) in [("a", 0, 5), ("b", 1, 1), ("a", 2, 5), ("a", 3, 1), ("b", 4, 1), ("a", 5, 5)] {
            row.user = Array(user.utf8)
            row.time = Int64(time)
            row.rating = Float(item)
            let id = Array("\(item)".utf8)
            try gatherer.add(row, item: gatherer.items.number(of: id, 0..<1))
        }
        let grouped = gatherer.group(newItems: [10, 11, 12, 13, 14, 15])
        #expect(grouped.offsets == [0, 4, 6] && grouped.users == [0, 1])
        #expect(grouped.items == [13, 10, 12, 15, 11, 14])
        #expect((0..<6).map { grouped.ratings[$0] } == [3, 0, 2, 5, 1, 4])
        #expect((0..<6).map { grouped.times[$0] } == [1, 5, 5, 5, 1, 1])
    }

    @Test(arguments: [
        "0", "4.5", "3", "0.5", "10", "1e1", "-2.25", "+4", "123456789", "0.30000001", "7.", ".5", "", "-", "nan",
        "inf",
        "four", "1.2.3", "9999999", "1.000001", "2,5",
    ])
    func decimalsAreReadAsSwiftReadsThem(text: String) {
        let bytes = Array(text.utf8)
        let expected = Float(text).flatMap { $0.isFinite ? $0 : nil }
        #expect(ByteNumber.decimal(bytes, 0..<bytes.count) == expected)
    }

    @Test(arguments: [
        "0", "-7", "123456789012345678", "1234567890123456789", "9223372036854775807", "-9223372036854775807",
        "9223372036854775808", "-9223372036854775809", "9999999999999999999", "12345678901234567890", "", "-", "1.0",
        "x", "12x", "123456789012345678x",
    ])
    func wholeNumbersAreReadAsSwiftReadsThem(text: String) {
        let bytes = Array(text.utf8)
        #expect(Int64(decimalDigits: bytes, 0..<bytes.count) == Int64(text))
    }
}
