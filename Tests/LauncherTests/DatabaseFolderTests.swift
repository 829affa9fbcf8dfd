import Foundation
import ServiceRuntime
import Testing

@testable import Launcher

/// What a data folder remembers of its database, with folders that look like clusters.
@Suite struct DatabaseFolderTests {
    private struct Bench {
        let data: String
        let folder: DatabaseFolder

        func cluster(_ name: String, identity: UInt64) throws {
            let path = "\(data)/\(name)"
            try FileManager.default.createDirectory(atPath: "\(path)/global", withIntermediateDirectories: true)
            try "15\n".write(toFile: "\(path)/PG_VERSION", atomically: false, encoding: .utf8)
            let bytes = withUnsafeBytes(of: identity.littleEndian) { Data($0) } + Data(repeating: 7, count: 100)
            try bytes.write(to: URL(filePath: "\(path)/global/pg_control"))
        }

        func write(_ text: String, _ name: String) throws {
            try text.write(toFile: "\(data)/\(name)", atomically: false, encoding: .utf8)
        }

        func read(_ name: String) -> String? { try? String(contentsOfFile: "\(data)/\(name)", encoding: .utf8) }

        func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(data)/\(name)") }

        func refusal() -> String {
            do throws(ProcessFailure) {
                return "no error but \(try folder.content())"
            } catch {
                return error.description
            }
        }
    }

    private func withBench(_ body: (Bench) throws -> Void) throws {
        let data = NSTemporaryDirectory() + "data-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: data) }
        try body(Bench(data: data, folder: DatabaseFolder(data: data)))
    }

    @Test func anEmptyFolderHasNoDatabase() throws {
        try withBench { bench in
            let content = try bench.folder.content()
            #expect(content == .nothing)
        }
    }

    @Test func aClusterOfAnEarlierVersionIsRememberedFromNowOn() throws {
        try withBench { bench in
            try bench.cluster("database", identity: 0xFEDC_BA98_7654_3210)
            try bench.write("pass\n", "database-password")
            #expect(try bench.folder.content() == .cluster(password: "pass"))
            #expect(bench.read("database-identity") == "18364758544493064720\n")
            #expect(try bench.folder.content() == .cluster(password: "pass"))
        }
    }

    /// A disk that is not mounted shows an empty folder, or a link to nowhere, or nothing at all.
    @Test(arguments: ["nothing", "empty folder", "folder of something else", "dangling link"])
    func aDatabaseThatIsNotThereIsMissedAndNothingIsTouched(kind: String) throws {
        for remembers in [true, false] {
            try withBench { bench in
                if remembers { try bench.write("42\n", "database-identity") }
                try bench.write("pass", "database-password")
                switch kind {
                case "empty folder": try PrivateFile.makeFolder("\(bench.data)/database")
                case "folder of something else": try PrivateFile.makeFolder("\(bench.data)/database/lost+found")
                case "dangling link":
                    try FileManager.default.createSymbolicLink(
                        atPath: "\(bench.data)/database",
                        withDestinationPath: "/mnt/away/\(UUID().uuidString)"
                    )
                default: break
                }
                let names = try FileManager.default.contentsOfDirectory(atPath: bench.data).sorted()
                let text = bench.refusal()
                #expect(text.contains("\(bench.data)/database"), "\(text)")
                #expect(text.contains("mount"), "\(text)")
                if kind == "dangling link" { #expect(text.contains("/mnt/away/"), "\(text)") }
                #expect(bench.read("database-password") == "pass")
                #expect(try FileManager.default.contentsOfDirectory(atPath: bench.data).sorted() == names)
            }
        }
    }

    @Test func anotherDatabaseInItsPlaceIsRefused() throws {
        try withBench { bench in
            try bench.cluster("database", identity: 7)
            try bench.write("42", "database-identity")
            try bench.write("pass", "database-password")
            let text = bench.refusal()
            #expect(text.contains("another database") && text.contains("7") && text.contains("42"), "\(text)")
        }
    }

    @Test func whatIsDamagedIsNamed() throws {
        try withBench { bench in
            try bench.cluster("database", identity: 7)
            #expect(bench.refusal().contains("its password in \(bench.data)/database-password is not"))
            try bench.write("\n", "database-password")
            #expect(bench.refusal().contains("database-password is empty"))
            try bench.write("-5", "database-identity")
            #expect(bench.refusal().contains("database-identity does not hold a database's number"))
            try bench.write("7", "database-identity")
            try bench.write("short", "database/global/pg_control")
            #expect(bench.refusal().contains("pg_control is cut off"))
            try bench.remove("database")
            try bench.write("", "database")
            #expect(bench.refusal().contains("is a file and no folder"))
        }
    }

    /// A start may be killed between any two steps.
    @Test func whatWasWholeIsFinishedAndWhatWasNotIsMadeAgain() throws {
        try withBench { bench in
            // In the middle of initdb.
            try bench.write("pass", "database.new.password")
            try PrivateFile.makeFolder("\(bench.data)/database.new/global")
            #expect(try bench.folder.content() == .nothing)
            try bench.folder.removeDraft()
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.data) == [])
            // After initdb, before it was remembered.
            try bench.write("pass", "database.new.password")
            try bench.cluster("database.new", identity: 42)
            #expect(try bench.folder.content() == .nothing)
            // After it was remembered.
            try bench.folder.remember()
            #expect(try bench.folder.content() == .unfinished)
            // After the password was written.
            try bench.write("pass", "database-password")
            #expect(try bench.folder.content() == .unfinished)
            try bench.folder.finish()
            #expect(try bench.folder.content() == .cluster(password: "pass"))
            let names = try FileManager.default.contentsOfDirectory(atPath: bench.data).sorted()
            #expect(names == ["database", "database-identity", "database-password"])
        }
        try withBench { bench in
            try bench.write("pass", "database.new.password")
            try bench.cluster("database.new", identity: 42)
            try bench.folder.remember()
            try bench.folder.finish()
            #expect(try bench.folder.content() == .cluster(password: "pass"))
        }
    }
}

@Suite struct SocketFolderTests {
    @Test func liesInTheDataFolderWhereItsNameIsNotTooLong() {
        let environment = ["XDG_RUNTIME_DIR": "/run/user/7"]
        func place(_ data: String, user: String? = nil) -> String {
            SocketFolder.place(for: data, user: user, environment: environment)
        }
        #expect(place("/srv/u") == "/srv/u/socket")
        for data in ["/\(String(repeating: "d", count: 100))", "/srv/a,b", "/srv/a b", "/srv/ü", "/srv/'x'"] {
            let path = place(data)
            #expect(path.hasPrefix("/run/user/7/userllm-"), "\(path)")
            #expect("\(path)/.s.PGSQL.5432".utf8.count <= 107)
            #expect(place(data) == path && place(data + "x") != path)
            #expect(place(data, user: "postgres").hasPrefix("/tmp/userllm-"))
            #expect(SocketFolder.place(for: data, user: nil, environment: [:]).hasPrefix("/tmp/userllm-"))
        }
        let longest = "/" + String(repeating: "d", count: 107 - "/.s.PGSQL.5432".utf8.count - "//socket".utf8.count)
        #expect(place(longest) == "\(longest)/socket")
        #expect(place(longest + "d") != "\(longest)d/socket")
    }
}
