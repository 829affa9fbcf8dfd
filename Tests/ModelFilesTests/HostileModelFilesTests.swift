import Foundation
import RandomNumbers
import Tensors
import TestSupport
import Testing

@testable import ModelFiles

/// Damaged headers: an error each, or a model whose every row can be read; never a crash.
@Suite struct HostileModelFilesTests {
    private static let count = Fuzzer.count(full: 100_000, daily: 4_000)

    /// Numbers that counts, lengths, offsets and types are replaced with.
    private static let extremes: [UInt64] = [
        0, 1, 2, 31, 32, 255, 65_535, 65_536, 1 << 20, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, 1 << 40, 1 << 62,
        (1 << 63) - 1, 1 << 63, .max - 31, .max,
    ]

    /// The bytes with up to three aligned or unaligned numbers of 4 or 8 bytes replaced.
    private static func renumbered(_ bytes: [UInt8], below end: Int, _ random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0...random.below(3) {
            let width = random.below(2) == 0 ? 4 : 8
            let place = random.below(max(end - width, 1))
            let value = extremes[random.below(extremes.count)]
            for index in 0..<width where place + index < bytes.count {
                bytes[place + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
            }
        }
        return bytes
    }

    /// Reads everything there is.
    private static func readAll(_ source: LanguageModelSource) throws {
        for name in source.tensorNames {
            let tensor = try source.tensor(name)
            #expect(tensor.values(rows: 0..<tensor.rows).count == tensor.count)
            try tensor.checkIsFinite()
        }
        _ = try source.head()
    }

    @Test func damagedGGUFHeadersAreErrors() throws {
        let examples = [
            GGUFBuilder.model().bytes, try Array(Fixture.data("llama.gguf")), try Array(Fixture.data("qwen3.gguf")),
        ]
        // Where the tensors' bytes begin: damage there is no damage of the header.
        let ends = [2_000, 6_000, 6_000]
        var fuzzer = Fuzzer(seed: 316)
        var (taken, refused) = (0, 0)
        for index in 0..<Self.count {
            let example = examples[index % examples.count]
            let end = min(ends[index % examples.count], example.count)
            let bytes: [UInt8]
            if index % 2 == 0 {
                bytes = Self.renumbered(example, below: end, &fuzzer.random)
            } else {
                bytes = fuzzer.damaged(Array(example[..<end])) + example[end...]
            }
            do {
                let file = try GGUFFile(Data(bytes), path: "fuzzed")
                for key in file.metadata.keys { _ = file.metadata.shown(key) }
                try Self.readAll(try file.languageModel())
                taken += 1
            } catch let error as ModelFileError {
                #expect(error.description.utf8.count < 4_096)
                refused += 1
            }
        }
        // Some damage is in names of tokens and the like; most is seen.
        #expect(taken > 0 && refused > Self.count / 2, "\(taken) taken, \(refused) refused")
    }

    @Test func damagedSafeTensorsHeadersAreErrors() throws {
        let example = try Array(Fixture.data("qwen2/model.safetensors"))
        let end = 8 + Int(example.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        var fuzzer = Fuzzer(seed: 317)
        var (taken, refused) = (0, 0)
        try withScratchFolder { folder in
            try FileManager.default.copyItem(
                atPath: Fixture.path("qwen2/config.json"),
                toPath: "\(folder)/config.json"
            )
            let file = URL(filePath: "\(folder)/model.safetensors")
            for index in 0..<Self.count / 4 {
                let bytes: [UInt8]
                switch index % 3 {
                case 0: bytes = Self.renumbered(example, below: 16, &fuzzer.random)
                case 1: bytes = Self.redigited(example, below: end, &fuzzer.random)
                default: bytes = fuzzer.damaged(Array(example[..<end])) + example[end...]
                }
                try Data(bytes).write(to: file)
                do {
                    try Self.readAll(try LanguageModelSource.open(folder))
                    taken += 1
                } catch is ModelFileError {
                    refused += 1
                }
            }
        }
        #expect(refused > Self.count / 8, "\(taken) taken, \(refused) refused")
    }

    /// The bytes with up to three digits replaced: shapes and offsets of a JSON header.
    private static func redigited(_ bytes: [UInt8], below end: Int, _ random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        let digits = (8..<end).filter { (0x30...0x39).contains(bytes[$0]) }
        for _ in 0...random.below(3) { bytes[digits[random.below(digits.count)]] = UInt8(0x30 + random.below(10)) }
        return bytes
    }

    /// Files cut off anywhere.
    @Test func filesCutOffAreErrors() throws {
        let whole = GGUFBuilder.model().bytes
        for count in stride(from: 0, to: whole.count, by: 7) {
            let text = errorText { _ = try GGUFFile(Data(whole[..<count]), path: "cut").languageModel() }
            #expect(text != "no error", "at \(count) bytes")
        }
    }
}
