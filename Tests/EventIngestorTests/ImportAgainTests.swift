import Foundation
import Messages
import ServiceRuntime
import MessageLogs
import TestSupport
import Testing

@testable import EventIngestor

/// The same events, from another file or to the same log by another address.
@Suite(.timeLimit(.minutes(15)))
struct ImportAgainTests {
    private let stage: ImportStage

    init() throws { stage = try ImportStage() }

    private func text(_ numbers: Range<Int>) -> String {
        numbers.map { stage.line($0 % 3, "i\($0)", 1_000 + $0) + "\n" }.joined()
    }

    /// A file of the same content as one of the stage's, by another name.
    private func other(_ kind: String, of path: String) throws -> String {
        let elsewhere = "\(stage.folder)/elsewhere"
        try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: true)
        switch kind {
        case "copy":
            try FileManager.default.copyItem(atPath: path, toPath: "\(stage.folder)/copy.ndjson")
            return "\(stage.folder)/copy.ndjson"
        case "compressed":
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", #"gzip -c "$0" > "$0.gz""#, path]
            try process.run()
            process.waitUntilExit()
            return "\(path).gz"
        case "link in the folder":
            try FileManager.default.createSymbolicLink(
                atPath: "\(stage.folder)/link.ndjson",
                withDestinationPath: path
            )
            return "\(stage.folder)/link.ndjson"
        case "hard link":
            try FileManager.default.linkItem(atPath: path, toPath: "\(stage.folder)/hard.ndjson")
            return "\(stage.folder)/hard.ndjson"
        default:
            try FileManager.default.createSymbolicLink(atPath: "\(elsewhere)/link.ndjson", withDestinationPath: path)
            return "\(elsewhere)/link.ndjson"
        }
    }

    private func state(_ path: String) throws -> String {
        let name = (path as NSString).lastPathComponent
        let names = try FileManager.default.contentsOfDirectory(atPath: stage.folder)
        return "\(stage.folder)/" + (try #require(names.first { $0.hasPrefix("\(name).import-") }))
    }

    /// Nothing is sent, and both ways out are told; each does what is said of it.
    @Test(arguments: ["copy", "compressed"], ["time", "file", "interleaved"])
    func theSameContentInAnotherFileIsRefused(kind: String, order: String) async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<12))
        let flags = ["order": order, "batch-events": "5"]
        try await stage.flow(path, log, flags).run(until: Shutdown())
        let other = try other(kind, of: path)
        let state = try state(path)
        let reason = await stage.refusal(other, log, flags)
        #expect(reason.contains(other) && reason.contains("those of \(path), of which 12 events were sent"))
        #expect(reason.contains("--state \(state)") && reason.contains("--send-again"))
        #expect(try await stage.items(log).count == 12)

        try await stage.flow(other, log, flags.merging(["state": state]) { $1 }).run(until: Shutdown())
        #expect(try await stage.items(log).count == 12)
        let again = flags.merging(["send-again": "true"]) { $1 }
        for _ in 0..<2 { try await stage.flow(other, log, again).run(until: Shutdown()) }
        #expect(try await stage.items(log).count == 24)
        await log.close()
    }

    /// A link is the file itself.
    @Test(arguments: ["link in the folder", "link elsewhere", "hard link"])
    func aLinkIsGoneOnWith(kind: String) async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<12))
        try await stage.flow(path, log).run(until: Shutdown())
        let other = try other(kind, of: path)
        let said = ImportStage.Said()
        let logger = Logger(label: "test", handler: said)
        try await stage.flow(other, log, logger: logger).run(until: Shutdown())
        #expect(try await stage.items(log).count == 12)
        #expect(said.last("import.state") == (try state(path)))
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data(text(12..<14).utf8))
        try file.close()
        try await stage.flow(other, log).run(until: Shutdown())
        try await stage.flow(path, log).run(until: Shutdown())
        #expect(try await stage.items(log).count == 14)
        await log.close()
    }

    private static let addresses = [
        "postgresql://localhost/userllm", "postgresql://127.0.0.1/userllm", "postgresql://127.0.0.1:5432/userllm",
        "kafka://b:9092,a:9092", "kafka://a:9092,b:9092?security.protocol=plaintext",
    ]

    /// The log is known by what is in it, and by no address.
    @Test func anotherAddressOfTheLogIsGoneOnWith() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<4))
        for (index, address) in Self.addresses.enumerated() {
            try stage.write(text(0..<(4 + index)))
            try await stage.flow(path, log, ["log": address]).run(until: Shutdown())
            #expect(try await stage.items(log).count == 4 + index)
        }
        // One after the other they went on from the first one's state.
        let names = try FileManager.default.contentsOfDirectory(atPath: stage.folder)
        #expect(names.filter { $0.contains(".import-") }.count == 1)
        // Who names a state means another one, and is told; another log is none of this.
        let named = ["log": Self.addresses[1], "state": "\(stage.folder)/named"]
        #expect(await stage.refusal(path, log, named).contains("--send-again"))
        let otherLog = try await TestLog.open()
        try await stage.flow(path, otherLog, ["log": Self.addresses[1]]).run(until: Shutdown())
        #expect(try await stage.items(otherLog).count == 4 + Self.addresses.count - 1)
        #expect(try await stage.items(log).count == 4 + Self.addresses.count - 1)
        for one in [log, otherLog] { await one.close() }
    }

    /// Interrupted under one address, in the first batch and later, and gone on with under another.
    @Test(arguments: [1, 2], [0, 1, 3])
    func goesOnUnderAnotherAddressWhereAProcessDied(number: Int, taken: Int) async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<9))
        let flags = ["batch-events": "3"]
        await #expect(throws: StreamError.self) {
            let dying = stage.dying(log, at: number, taking: taken)
            let first = flags.merging(["log": Self.addresses[0]]) { $1 }
            try await stage.flow(path, dying, first).run(until: Shutdown())
        }
        let second = flags.merging(["log": Self.addresses[1]]) { $1 }
        try await stage.flow(path, log, second).run(until: Shutdown())
        #expect(try await stage.items(log).count == 9)
        await log.close()
    }

    @Test func aLongerCopyCanBeGoneOnWith() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<12))
        try await stage.flow(path, log).run(until: Shutdown())
        let longer = try stage.write(text(0..<16), to: "longer.ndjson")
        #expect(await stage.refusal(longer, log).contains("sends only what comes after"))
        try await stage.flow(longer, log, ["state": state(path)]).run(until: Shutdown())
        #expect(try await stage.items(log).count == 16)
        await log.close()
    }

    /// Some first lines of a file, and a file that only begins as another: all that they share was sent.
    @Test(arguments: ["time", "file"])
    func aPartOfAnotherFileIsRefused(order: String) async throws {
        let log = try await TestLog.open()
        let flags = ["order": order, "batch-events": "4"]
        let path = try stage.write(text(0..<40))
        try await stage.flow(path, log, flags).run(until: Shutdown())
        for count in [3, 20, 39] {
            let part = try stage.write(text(0..<count), to: "part\(count).ndjson")
            let reason = await stage.refusal(part, log, flags)
            #expect(reason.contains("import a file of only what is new"), "\(reason)")
        }
        let edited = text(0..<20) + stage.line(0, "edited", 5_000) + "\n" + text(21..<40)
        let other = try stage.write(edited, to: "edited.ndjson")
        if order == "file" { #expect(await stage.refusal(other, log, flags).contains("only what is new")) }
        // What only comes after is another file.
        let rest = try stage.write(text(40..<44), to: "rest.ndjson")
        try await stage.flow(rest, log, flags).run(until: Shutdown())
        #expect(try await stage.items(log).count == 44)
        await log.close()
    }

    /// A state that cannot be read is told, and stops nobody; files of other content are no matter.
    @Test func statesOfOtherFilesAreNoMatter() async throws {
        let log = try await TestLog.open()
        for number in 0..<20 {
            let path = try stage.write(text(number..<(number + 1)), to: "day\(number).ndjson")
            try await stage.flow(path, log).run(until: Shutdown())
        }
        #expect(try await stage.items(log).count == 20)
        try stage.write("{", to: "lost.ndjson.import-01234567")
        try stage.write("notes", to: "notes.import-of-may")
        let said = ImportStage.Said()
        let path = try stage.write(text(20..<22))
        try await stage.flow(path, log, logger: Logger(label: "test", handler: said)).run(until: Shutdown())
        #expect(try await stage.items(log).count == 22)
        #expect(said.last("error")?.contains("lost.ndjson.import-01234567") == true)
        await log.close()
    }

    /// The file beside which a named state lies may be imported at the same time.
    @Test func aNamedStateOfAFileThatIsImportedIsRefused() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<4))
        try await stage.flow(path, log).run(until: Shutdown())
        let copy = try other("copy", of: path)
        let named = ["state": try state(path)]
        do {
            let lock = try #require(try FileLock(file: path))
            defer { withExtendedLifetime(lock) {} }
            let error = await #expect(throws: ProcessFailure.self) {
                try await stage.flow(copy, log, named).run(until: Shutdown())
            }
            #expect(error?.exitCode == .unavailable)
        }
        try await stage.flow(copy, log, named).run(until: Shutdown())
        #expect(try await stage.items(log).count == 4)
        await log.close()
    }

    @Test(arguments: [
        ("/a/b.csv.import-0123abcd", "/a/b.csv"), ("b.csv.import-00000000", "b.csv"), ("b.import-0123abc", nil),
        (".import-0123abcd", nil), ("b.csv.import-0123abcg", nil), ("b.csv.import-0123ABCD", nil),
        ("b.csv-import-0123abcd", nil), ("state", nil), ("", nil),
    ])
    func aStateIsKnownByItsName(path: String, file: String?) {
        #expect(ImportConfiguration.file(ofState: path) == file)
    }
}
