import Foundation
import Glibc
import ServiceRuntime
import Testing
import Verification

/// What the programs do with paths that name no file, and when they are told to end while they read one.
@Suite struct InputProcessTests {
    private func withFolder(_ body: (_ folder: String) async throws -> Void) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    /// Runs a program to its end.
    private func run(_ program: String, _ arguments: [String], in folder: String) async throws -> (Int32?, String) {
        let output = "\(folder)/output-\(UUID().uuidString)"
        let child = try await ChildProcess.start(LocalSystem.specification(program, arguments, output: output))
        let status = await child.ended()
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        if case .exited(let code) = status { return (code, text) }
        return (nil, text)
    }

    /// Nobody writes into the pipe, so whoever opened it would wait for ever.
    @Test func aPipeIsRefusedAndNotWaitedFor() async throws {
        try await withFolder { folder in
            for name in ["ratings.csv", "events.ndjson", "data.txt"] {
                let pipe = "\(folder)/\(name)"
                #expect(mkfifo(pipe, 0o600) == 0)
                for (program, arguments) in [
                    ("event-ingestor", ["import", pipe]), ("trainer", ["prepare", pipe, "\(folder)/prepared"]),
                ] {
                    let (code, text) = try await run(program, arguments, in: folder)
                    #expect(code != nil && code != 0)
                    #expect(text.contains("\(pipe): is a pipe"), "\(program): \(text)")
                    if program == "event-ingestor" { #expect(code == ExitCode.badInput.rawValue) }
                }
            }
            let device = try await run("event-ingestor", ["import", "/dev/zero", "--format", "ndjson"], in: folder)
            #expect(device.0 == ExitCode.badInput.rawValue && device.1.contains("is a device"))
        }
    }

    /// Compressed data and behind it a terabyte of padding, of which the disk holds nothing: nobody reads to its end.
    @Test func aLongReadEndsWithTheProcess() async throws {
        try await withFolder { folder in
            let plain = "\(folder)/events.ndjson"
            let event = #"{"user":"u1","item":"a","time":1700000000000}"#
            try Data("\(event)\n".utf8).write(to: URL(fileURLWithPath: plain))
            let gzip = try await ChildProcess.start(
                .init(executable: "/usr/bin/gzip", arguments: [plain], environment: [:])
            )
            #expect(await gzip.ended() == .exited(0))
            let path = "\(plain).gz"
            #expect(truncate(path, 1 << 40) == 0)
            try Data(#"{"items":[{"id":"a","title":"A","categories":[]}]}"#.utf8)
                .write(to: URL(fileURLWithPath: "\(folder)/catalogue.json"))
            let output = "\(folder)/output"
            let child = try await ChildProcess.start(
                LocalSystem.specification("trainer", ["prepare", folder, "\(folder)/prepared"], output: output)
            )
            try await poll("it reads", every: .milliseconds(20)) {
                if let status = child.status {
                    let printed = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
                    throw VerificationError("trainer ended (\(status)): \(printed)")
                }
                // It reads as long as it has the file open.
                let descriptors = "/proc/\(child.id)/fd"
                let open = (try? FileManager.default.contentsOfDirectory(atPath: descriptors)) ?? []
                return open.contains {
                    (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(descriptors)/\($0)")) == path
                }
            }
            let status = await child.stop(signal: SIGTERM, patience: .seconds(600))
            #expect(status == .exited(ExitCode.interrupted.rawValue))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/prepared"))
        }
    }
}
