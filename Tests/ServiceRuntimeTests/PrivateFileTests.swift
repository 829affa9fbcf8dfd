import Foundation
import Testing

@testable import ServiceRuntime

@Suite struct PrivateFileTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "private-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private func mode(_ path: String) throws -> Int {
        var found = stat()
        try #require(lstat(path, &found) == 0)
        return Int(found.st_mode & 0o7777)
    }

    @Test func whatIsThereIsNeverOverwritten() throws {
        try withFolder { folder in
            let path = "\(folder)/secret"
            try PrivateFile.create("first", at: path)
            let error = #expect(throws: ProcessFailure.self) { try PrivateFile.create("second", at: path) }
            #expect(error?.description == "\(path) cannot be made: File exists")
            #expect(try PrivateFile.read(path) == "first")
            #expect(try mode(path) == 0o600)
            // A link to nowhere is something too.
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "\(folder)/gone")
            #expect(throws: ProcessFailure.self) { try PrivateFile.create("third", at: "\(folder)/link") }
            #expect(try FileEntry("\(folder)/gone") == .missing)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["link", "secret"])
        }
    }

    @Test func replacingIsForThisUserAloneAndWhole() throws {
        try withFolder { folder in
            let path = "\(folder)/state"
            for text in ["one", "two"] { try PrivateFile.replace(Array(text.utf8), at: path) }
            #expect(try PrivateFile.read(path) == "two")
            #expect(try mode(path) == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["state"])
        }
    }

    @Test func whatIsNoFileIsNotReplaced() throws {
        try withFolder { folder in
            let pipe = "\(folder)/pipe"
            try #require(mkfifo(pipe, 0o600) == 0)
            let reader = open(pipe, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            try PrivateFile.replace(Array("8080".utf8), at: pipe)
            var bytes = [UInt8](repeating: 0, count: 10)
            #expect(read(reader, &bytes, 10) == 4)
            #expect(try FileManager.default.attributesOfItem(atPath: pipe)[.type] as? FileAttributeType != .typeRegular)
            #expect(throws: ProcessFailure.self) { try PrivateFile.replace([1], at: folder) }
        }
    }

    @Test func tellsWhatIsAtAPath() throws {
        try withFolder { folder in
            try Data().write(to: URL(filePath: "\(folder)/file"))
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "/nowhere/at/all")
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/other", withDestinationPath: folder)
            #expect(try FileEntry(folder) == .folder)
            #expect(try FileEntry("\(folder)/file") == .file)
            #expect(try FileEntry("\(folder)/link") == .link(to: "/nowhere/at/all"))
            #expect(try FileEntry("\(folder)/other") == .folder)
            #expect(try FileEntry("\(folder)/none") == .missing)
            let error = #expect(throws: ProcessFailure.self) { try FileEntry("\(folder)/file/below") }
            #expect(error?.description.contains("Not a directory") == true)
        }
    }

    @Test func aPipeInTheFilesPlaceDoesNotMakeItWait() throws {
        try withFolder { folder in
            try #require(mkfifo("\(folder)/pipe", 0o600) == 0)
            #expect(try PrivateFile.read("\(folder)/pipe") == "")
        }
    }

    @Test func foldersHaveTheirPermissionsWhateverTheMask() throws {
        try withFolder { folder in
            try PrivateFile.makeFolder("\(folder)/a/b", mode: 0o750)
            #expect(try mode("\(folder)/a/b") == 0o750)
            try FileManager.default.createDirectory(atPath: "\(folder)/open", withIntermediateDirectories: false)
            try #require(chmod("\(folder)/open", 0o777) == 0)
            try PrivateFile.makeFolder("\(folder)/open", mode: 0o700, isEnforced: true)
            #expect(try mode("\(folder)/open") == 0o700)
            try Data().write(to: URL(filePath: "\(folder)/file"))
            for path in ["\(folder)/file", "\(folder)/file/below"] {
                let error = #expect(throws: ProcessFailure.self) { try PrivateFile.makeFolder(path) }
                #expect(error?.description.contains("\(folder)/file") == true)
            }
        }
    }

    @Test func anotherUsersFolderIsNotTaken() throws {
        try withFolder { folder in
            let path = "\(folder)/socket"
            try PrivateFile.makeFolder(path, ownedBy: nil)
            #expect(try mode(path) == 0o700)
            try #require(chmod(path, 0o777) == 0)
            try PrivateFile.makeFolder(path, ownedBy: nil)
            #expect(try mode(path) == 0o700)
            // A link is not followed, even to a folder of ours.
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: path)
            let link = #expect(throws: ProcessFailure.self) {
                try PrivateFile.makeFolder("\(folder)/link", ownedBy: nil)
            }
            #expect(link?.description == "\(folder)/link is no folder")
            guard OperatingSystemUser.isRoot, let other = OperatingSystemUser.numbers(of: "nobody") else { return }
            try #require(chown(path, other.user, other.group) == 0)
            let error = #expect(throws: ProcessFailure.self) { try PrivateFile.makeFolder(path, ownedBy: nil) }
            #expect(error?.description.contains("belongs to another user") == true)
        }
    }
}
