import Foundation

/// A place where bytes from outside come in, as the fuzzer sees it.
struct FuzzTarget: Sendable {
    /// The name on the command line.
    let name: String
    /// The most bytes of an input.
    var longest = 16_384
    /// Well-formed inputs to begin with, made by the product's own writers where it has them.
    let seeds: @Sendable () throws -> [[UInt8]]
    /// Pieces that the format is made of.
    var words: [String] = []
    /// Takes an input.
    ///
    /// Bytes that are refused are no finding; a trap, a wrong access and too much work are.
    let run: @Sendable ([UInt8]) throws -> Void

    /// Every target, in the order in which `Deploy/fuzz` runs them.
    static let all: [FuzzTarget] =
        BodyTargets.all + HTTPTargets.all + RecordTargets.all + BundleTargets.all + LanguageModelTargets.all
        + FileTargets.all

    /// Seconds of work that a single input may cause, in this thread's own time: a busy machine is no finding.
    private static let limit = 0.1

    /// Tries an input, and ends the process when it took too long three times in a row.
    func test(_ input: [UInt8]) {
        for _ in 0..<3 {
            let start = Self.threadSeconds
            // What the product throws is its answer to the input.
            try? run(input)
            if Self.threadSeconds - start <= Self.limit { return }
        }
        print("\(name): an input of \(input.count) bytes took over \(Int(Self.limit * 1_000)) ms, three times")
        abort()
    }

    /// Seconds of a processor that this thread has had.
    private static var threadSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Writes the seeds and the words, for the fuzzer to begin with.
    ///
    /// - Parameter folder: gets `seeds/` with a file for each, and `words.dict`.
    /// - Throws: when a seed cannot be made or written.
    func writeSeeds(to folder: String) throws {
        let seedFolder = folder + "/seeds"
        try FileManager.default.createDirectory(atPath: seedFolder, withIntermediateDirectories: true)
        for (index, seed) in try seeds().enumerated() {
            try Data(seed).write(to: URL(filePath: "\(seedFolder)/\(index)"))
        }
        let lines = words.map { word in
            let bytes = word.utf8.map { byte in
                let digits = String(byte, radix: 16)
                return "\\x" + (digits.count == 1 ? "0" : "") + digits
            }
            return "\"\(bytes.joined())\"\n"
        }
        // A dictionary without a byte is an error to the fuzzer, one without a word is none.
        try Data(("# \(name)\n" + lines.joined()).utf8).write(to: URL(filePath: folder + "/words.dict"))
    }
}

/// What an input breaks when the product took it: ends the process, which the fuzzer reports with the input.
func expect(_ condition: Bool, _ message: @autoclosure () -> String) {
    guard !condition else { return }
    // A precondition's text is left out where code is optimised.
    print(message())
    abort()
}

/// An input read as a sequence of values, for targets that take more than bytes.
struct FuzzInput {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    /// The next byte; 0 at the end.
    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// The next eight bytes as a number.
    mutating func number() -> Int64 {
        (0..<8).reduce(0) { value, _ in value << 8 | Int64(byte()) }
    }

    /// As many bytes as the next two say, or what is left.
    mutating func bytes() -> [UInt8] {
        let count = Int(byte()) << 8 | Int(byte())
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// The next bytes as text, whatever they are.
    mutating func text() -> String { String(decoding: bytes(), as: UTF8.self) }

    /// What is left.
    mutating func remaining() -> [UInt8] {
        defer { rest = [] }
        return Array(rest)
    }
}

/// Writes what `FuzzInput` reads.
struct FuzzSeed {
    private(set) var input: [UInt8] = []

    mutating func byte(_ value: UInt8) { input.append(value) }

    mutating func number(_ value: Int64) {
        for shift in stride(from: 56, through: 0, by: -8) { input.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func bytes(_ bytes: [UInt8]) {
        precondition(bytes.count < 1 << 16, "a seed of \(bytes.count) bytes is too long")
        input += [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes
    }

    mutating func text(_ text: String) { bytes(Array(text.utf8)) }
}
