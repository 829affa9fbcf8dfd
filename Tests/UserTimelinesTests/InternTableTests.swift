import Bytes
import Testing

@testable import UserTimelines

@Suite struct InternTableTests {
    private func key(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test func givesOneNumberToEqualBytesAndReusesThoseThatAreFree() {
        var table = InternTable()
        let first = table.retain(key("a").span)
        #expect(first.isNew)
        #expect(table.retain(key("a").span) == InternTable.Retained(number: first.number, isNew: false))
        let second = table.retain(key("b").span)
        #expect(second.number != first.number)
        #expect(table.release(first.number) == nil)
        #expect(table[first.number] == key("a"))
        #expect(table.release(first.number) == key("a"))
        #expect(table.count == 1)
        #expect(table.retain(key("c").span) == InternTable.Retained(number: first.number, isNew: true))
        #expect(table[first.number] == key("c"))
        #expect(table[second.number] == key("b"))
        #expect(table.byteCount(of: second.number) == 1)
    }

    @Test func agreesWithADictionaryWhileKeysComeAndGo() {
        var random = SystemRandomNumberGenerator()
        var table = InternTable()
        var numbers: [String: UInt32] = [:]
        var uses: [String: Int] = [:]
        for _ in 0..<200_000 {
            let text =
                String(repeating: "k", count: Int.random(in: 0..<20, using: &random))
                + "\(Int.random(in: 0..<300, using: &random))"
            if Bool.random(using: &random) {
                let retained = table.retain(key(text).span)
                #expect(retained.isNew == (numbers[text] == nil))
                if let number = numbers[text] { #expect(retained.number == number) }
                numbers[text] = retained.number
                uses[text, default: 0] += 1
            } else if let number = numbers[text], let count = uses[text] {
                let key = table.release(number)
                #expect((key != nil) == (count == 1))
                uses[text] = count == 1 ? nil : count - 1
                if count == 1 { numbers[text] = nil }
            }
        }
        #expect(table.count == numbers.count)
        #expect(Set(numbers.values).count == numbers.count)
        for (text, number) in numbers { #expect(table[number] == key(text)) }
    }
}
