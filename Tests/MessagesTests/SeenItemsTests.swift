import Bytes
import Messages
import Testing

@Suite struct SeenItemsTests {
    @Test func numbersAreSortedAndEachIsThereOnce() {
        #expect(SeenItems([9, 3, 9, 0, .max, 3]).numbers == [0, 3, 9, .max])
        #expect(SeenItems().numbers.isEmpty)
    }

    @Test(
        arguments: [[], [0], [127], [128], [0, 1], [.max], [5, 6, 133, 16_518, .max - 1, .max]] as [[UInt32]]
    )
    func whatIsCodedIsReadAgain(numbers: [UInt32]) throws {
        let coded = SeenItems(numbers).coded
        #expect(try SeenItems(coded: coded).numbers == numbers)
        #expect(coded.count <= 5 * numbers.count)
    }

    @Test func aThousandOfACatalogueTakeLessThanTwoBytesEach() throws {
        let numbers = (0..<UInt32(Limits.seenItemCount)).map { $0 * 62 + $0 % 7 }
        let coded = SeenItems(numbers).coded
        #expect(coded.count == Limits.seenItemCount)
        #expect(try SeenItems(coded: coded).numbers == numbers)
    }

    /// Bytes that are no code, and what the error says.
    @Test(
        arguments: [
            ([0x80], "a number at byte 0 that does not end"),
            ([1, 0xFF, 0xFF], "a number at byte 1 that does not end"),
            ([UInt8](repeating: 0xFF, count: 11), "does not end"),
            ([1, 0], "has 1 twice, again at byte 1"),
            ([0, 0], "has 0 twice"),
            ([0x80, 0x80, 0x80, 0x80, 0x10], "more than 32 bits at byte 0"),
            ([1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], "more than 32 bits at byte 1"),
            ([5] + [UInt8](repeating: 0xFF, count: 9) + [1], "more than 32 bits at byte 1"),
            ([UInt8](repeating: 1, count: 1_001), "too many numbers: send at most 1000"),
            ([UInt8](repeating: 1, count: 1_000_000), "too many numbers"),
        ] as [([UInt8], String)]
    )
    func damagedBytesAreRefused(bytes: [UInt8], reason: String) throws {
        let error = #expect(throws: MessageError.self) { try SeenItems(coded: bytes) }
        #expect(error?.field == "seen_items")
        #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
    }

    @Test func anEmbeddingWithThemIsReadAgainAndRefusedWhereTheyAreDamaged() throws {
        var embedding = UserEmbedding(
            user: "u",
            modelVersion: "v",
            generation: 0,
            eventCount: 1,
            sourcePartition: 0,
            sourceOffset: 0,
            appendedAt: 0,
            rows: 1,
            columns: 1,
            context: [0],
            pooled: []
        )
        let without = try embedding.encoded()
        #expect(try UserEmbedding(decoding: without, contentType: nil).seenItems == SeenItems())
        embedding.seenItems = SeenItems([7, 300])
        #expect(try UserEmbedding(decoding: embedding.encoded(), contentType: nil) == embedding)
        #expect(try UserEmbedding(decoding: embedding.encodedJSON(), contentType: nil) == embedding)
        let error = #expect(throws: MessageError.self) {
            try UserEmbedding(decoding: without + [0x62, 2, 7, 0], contentType: nil)
        }
        #expect(error?.field == "seen_items")
        embedding.seenItems = SeenItems(0...1_000)
        #expect(throws: MessageError(field: "seen_items", reason: "has 1001 numbers: send at most 1000")) {
            try embedding.encoded()
        }
    }
}
