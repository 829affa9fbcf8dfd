import CFuzzer
import Foundation

/// Coverage-guided fuzzing of every place where bytes from outside come in; `Deploy/fuzz` builds and runs it.
///
/// ```
/// fuzz --list                        the targets
/// fuzz TARGET --limits               what the target asks of the fuzzer, as its arguments
/// fuzz TARGET --write-seeds FOLDER   what it begins with
/// fuzz TARGET [libFuzzer's arguments]
/// ```
@main
struct App {
    /// The target of this process: the fuzzer calls back without a context.
    static let target = FuzzTarget.all.first { $0.name == CommandLine.arguments.dropFirst().first }

    static func main() throws {
        let arguments = CommandLine.arguments
        if arguments.dropFirst() == ["--list"] {
            for target in FuzzTarget.all { print(target.name) }
            return
        }
        guard let target else {
            print(
                "fuzz: the first argument is --list or a target: \(FuzzTarget.all.map(\.name).joined(separator: " "))"
            )
            exit(64)
        }
        if arguments.count == 4, arguments[2] == "--write-seeds" { return try target.writeSeeds(to: arguments[3]) }
        if arguments.dropFirst(2) == ["--limits"] { return print("-max_len=\(target.longest)") }
        // Every seed is an input too; one that traps is found here with its name.
        var given = ([arguments[0]] + arguments.dropFirst(2)).map { strdup($0) }
        var count = Int32(given.count)
        let status = given.withUnsafeMutableBufferPointer { buffer in
            var start = buffer.baseAddress
            return LLVMFuzzerRunDriver(&count, &start) { bytes, size in
                App.target?.test(Array(UnsafeBufferPointer(start: bytes, count: size)))
                return 0
            }
        }
        exit(status)
    }
}
