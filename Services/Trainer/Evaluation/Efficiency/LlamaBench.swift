import Bytes
import Foundation
import Glibc
import ServiceRuntime

/// llama.cpp's own benchmark, run as a process: the same model reading as many tokens.
struct LlamaBench: Sendable {
    /// The times of one run, in seconds.
    struct Times: Sendable, Equatable {
        /// Reading the prompt.
        var reading: Double
        /// Writing the answer, after an empty context: llama-bench takes less time for it than after the prompt.
        var writing: Double
    }

    private let program: String
    /// The models in llama.cpp's formats, of which the fastest counts.
    let models: [String]
    private let threads: Int

    /// Finds the program.
    ///
    /// - Parameters:
    ///   - folder: llama.cpp's folder of programs, or the one that holds it as `bin`.
    ///   - models: GGUF files.
    ///   - threads: threads that compute.
    /// - Throws: `ProcessFailure` naming what is not there.
    init(folder: String, models: [String], threads: Int) throws {
        let candidates = ["\(folder)/llama-bench", "\(folder)/bin/llama-bench"]
        guard let program = candidates.first(where: FileManager.default.isExecutableFile) else {
            throw ProcessFailure(
                "--llama-cpp \(folder) has no program llama-bench: give the folder that Tests/Benchmarks/build-llama-cpp "
                    + "names",
                exitCode: .badInput
            )
        }
        for model in models where !FileManager.default.fileExists(atPath: model) {
            throw ProcessFailure("--llama-models \(model) does not exist", exitCode: .badInput)
        }
        (self.program, self.models, self.threads) = (program, models, threads)
    }

    /// One test of the program's output.
    private struct Test: Decodable {
        let nPrompt: Int
        let nGen: Int
        /// Nanoseconds.
        let avgNs: Double
    }

    /// Reads a prompt and writes an answer: the best of all models, without and with flash attention.
    ///
    /// - Parameters:
    ///   - promptTokens: tokens of the prompt.
    ///   - answerTokens: tokens of the answer.
    ///   - shutdown: ends the program early.
    /// - Returns: the best times.
    /// - Throws: `ProcessFailure` when the program fails or prints something else, and when it was ended.
    func times(promptTokens: Int, answerTokens: Int, until shutdown: Shutdown) throws -> Times {
        var best = Times(reading: .infinity, writing: .infinity)
        for model in models {
            let arguments = [
                "-m", model, "-t", "\(threads)", "-p", "\(promptTokens)", "-n", "\(answerTokens)", "-fa", "0,1", "-r",
                "1", "-o", "json",
            ]
            let found = try Self.times(output(arguments, until: shutdown))
            best = Times(reading: min(best.reading, found.reading), writing: min(best.writing, found.writing))
        }
        return best
    }

    /// The best times in the program's output.
    ///
    /// - Throws: `ProcessFailure` for anything but a list with both tests.
    static func times(_ output: Data) throws -> Times {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let tests = try? decoder.decode([Test].self, from: output),
            let reading = tests.filter({ $0.nPrompt > 0 && $0.nGen == 0 }).map(\.avgNs).min(),
            let writing = tests.filter({ $0.nGen > 0 && $0.nPrompt == 0 }).map(\.avgNs).min()
        else {
            throw ProcessFailure("llama-bench printed no JSON list of tests with n_prompt, n_gen and avg_ns")
        }
        return Times(reading: reading / 1e9, writing: writing / 1e9)
    }

    /// What the program printed.
    ///
    /// Its output goes to a file, so that it never waits for a reader and can be ended at any time.
    private func output(_ arguments: [String], until shutdown: Shutdown) throws -> Data {
        let file = FileManager.default.temporaryDirectory.appending(path: "llama-bench-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data().write(to: file)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: file)
        do {
            try process.run()
        } catch {
            throw ProcessFailure("\(program) cannot be started: \(FailureText.reason(error))")
        }
        while process.isRunning {
            if shutdown.isRequested {
                // A child of this thread has its signals blocked, all but this one.
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                throw ProcessFailure("interrupted while llama.cpp was measured", exitCode: .interrupted)
            }
            Thread.sleep(forTimeInterval: 0.02)
        }
        guard process.terminationStatus == 0 else {
            let command = ([program] + arguments).joined(separator: " ")
            throw ProcessFailure("\(command) ended with code \(process.terminationStatus)")
        }
        return try Data(contentsOf: file)
    }
}
