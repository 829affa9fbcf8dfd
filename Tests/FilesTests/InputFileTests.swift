import Foundation
import Glibc
import Files
import Synchronization
import Testing

@Suite struct InputFileTests {
    /// `abc\n` and `def\n`, each compressed on its own with `gzip -n`.
    static let abc: [UInt8] = [
        0x1F, 0x8B, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x4B, 0x4C, 0x4A, 0xE6, 0x02, 0x00, 0x4E, 0x81,
        0x88, 0x47, 0x04, 0x00, 0x00, 0x00,
    ]
    static let def: [UInt8] = [
        0x1F, 0x8B, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x4B, 0x49, 0x4D, 0xE3, 0x02, 0x00, 0xBC, 0x93,
        0x6E, 0x08, 0x04, 0x00, 0x00, 0x00,
    ]

    private final class File {
        let path: String

        init(_ name: String, _ bytes: [UInt8]) throws {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("input-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            path = folder.appendingPathComponent(name).path
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        }

        deinit { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
    }

    /// All that a file holds, read in pieces.
    private func all(_ path: String, room: Int = 16, from offset: UInt64 = 0) throws -> [UInt8] {
        let file = try InputFile(path)
        try file.skip(toByte: offset)
        var buffer = [UInt8](repeating: 0, count: room)
        var bytes: [UInt8] = []
        while true {
            let count = try file.read(into: &buffer, from: 0)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        #expect(file.bytesRead == file.byteCount || offset > 0)
        return bytes
    }

    private func reason(_ path: String) -> String {
        do {
            _ = try all(path)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [1, 3, 64])
    func readsPlainAndCompressedFilesAlike(room: Int) throws {
        let plain = try File("a.txt", Array("abc\ndef\n".utf8))
        // Compressed parts one after the other are one file, as `cat a.gz b.gz` makes them.
        let compressed = try File("a.txt.gz", Self.abc + Self.def)
        #expect(try all(plain.path, room: room) == Array("abc\ndef\n".utf8))
        #expect(try all(compressed.path, room: room) == Array("abc\ndef\n".utf8))
        #expect(try all(plain.path, room: room, from: 5) == Array("ef\n".utf8))
        #expect(try all(compressed.path, room: room, from: 5) == Array("ef\n".utf8))
    }

    @Test func isRecognizedByItsBytesAndNotByItsName() throws {
        let compressed = try File("a", Self.abc)
        #expect(try all(compressed.path) == Array("abc\n".utf8))
        let plain = try File("a.gz", Array("abc\n".utf8))
        #expect(reason(plain.path).contains("is not compressed"))
        let empty = try File("b.gz", [])
        #expect(reason(empty.path).contains("is not compressed"))
    }

    @Test func aFileThatIsCutOffOrDamagedIsAnErrorAndNotAShortFile() throws {
        for count in [5, 12, Self.abc.count - 1] {
            let file = try File("a.gz", Array(Self.abc[..<count]))
            #expect(reason(file.path).contains("is cut off"))
        }
        var checksum = Self.abc
        checksum[checksum.count - 6] ^= 1
        let wrong = try File("a.gz", checksum)
        #expect(reason(wrong.path).contains("is damaged"))
    }

    /// Tapes, and tools that write whole blocks, fill a file up with zeros.
    @Test(arguments: [1, 3, 512, 300_000])
    func zerosAfterCompressedDataArePadding(count: Int) throws {
        let zeros = [UInt8](repeating: 0, count: count)
        let padded = try File("a.gz", Self.abc + zeros)
        #expect(try all(padded.path) == Array("abc\n".utf8))
        #expect(try all(padded.path, room: 4) == Array("abc\n".utf8))
        let between = try File("a.gz", Self.abc + zeros + Self.def + zeros)
        #expect(try all(between.path) == Array("abc\ndef\n".utf8))
    }

    @Test(arguments: ["garbage", "\u{1F}garbage", "\u{0}\u{0}garbage", "g", "\u{1F}g"])
    func anythingElseAfterCompressedDataIsNamedWithItsPlace(garbage: String) throws {
        let file = try File("a.gz", Self.abc + Array(garbage.utf8))
        let place = Self.abc.count + garbage.utf8.prefix { $0 == 0 }.count
        #expect(reason(file.path).contains("has bytes after its compressed data, from byte \(place) on"))
    }

    @Test func aPartThatIsCutOffIsNamed() throws {
        for count in [4, 12, Self.def.count - 1] {
            let file = try File("a.gz", Self.abc + Array(Self.def[..<count]))
            #expect(reason(file.path).contains("is cut off: its part 2, which begins at byte \(Self.abc.count)"))
        }
        var wrong = Self.def
        wrong[wrong.count - 6] ^= 1
        let damaged = try File("a.gz", Self.abc + wrong)
        #expect(reason(damaged.path).contains("is damaged"))
    }

    @Test func missingFilesAndFoldersAreNamed() throws {
        #expect(reason("/nowhere/a").contains("/nowhere/a: does not exist"))
        #expect(reason("/tmp").contains("is a folder"))
    }

    /// Nothing is opened that may make its reader wait; links lead to what they name.
    @Test func whatIsNoStoredFileIsNamedAndNotOpened() throws {
        let file = try File("a", Array("abc\n".utf8))
        let folder = (file.path as NSString).deletingLastPathComponent
        let pipe = "\(folder)/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        let socket = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array("\(folder)/socket".utf8)
        try #require(name.count < MemoryLayout.size(ofValue: address.sun_path))
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(isBound == 0)
        for (path, kind) in [
            (pipe, "is a pipe"), ("\(folder)/socket", "is a socket"), (folder, "is a folder"),
            ("/dev/zero", "is a device"),
            ("/dev/tty", "is a device"), ("/proc/kmsg", "by the kernel"), ("/proc/self/status", "by the kernel"),
            ("/sys/kernel/notes", "by the kernel"),
        ] where FileManager.default.fileExists(atPath: path) {
            #expect(reason(path).contains("\(path): \(kind)") || reason(path).contains(kind), "\(path)")
            #expect(!RegularFile.exists(path))
            let link = "\(folder)/link-\(UUID().uuidString)"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
            #expect(reason(link).contains(kind), "\(path)")
        }
        let link = "\(folder)/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file.path)
        #expect(try all(link) == Array("abc\n".utf8))
        let loop = "\(folder)/loop"
        try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: loop)
        #expect(reason(loop).contains("cannot be opened"))
    }

    @Test(arguments: [9, UInt64(Int.max), UInt64(Int.max) + 1, .max])
    func aPlaceBehindTheEndIsAnError(offset: UInt64) throws {
        let plain = try File("a", Array("abc\ndef\n".utf8))
        let compressed = try File("a.gz", Self.abc + Self.def)
        for path in [plain.path, compressed.path] {
            let error = #expect(throws: InputFileError.self) { try InputFile(path).skip(toByte: offset) }
            #expect(error?.reason.contains("ends after 8 bytes, before byte \(offset)") == true)
            try InputFile(path).skip(toByte: 8)
        }
    }

    @Test func readingStopsWhenTheProcessIsToEnd() throws {
        let plain = try File("a", Array("abc\ndef\n".utf8))
        let compressed = try File("a.gz", Self.abc + Self.def)
        for path in [plain.path, compressed.path] {
            let asked = Mutex(0)
            let isStopped: @Sendable () -> Bool = {
                asked.withLock { asked in
                    asked += 1
                    return asked > 3
                }
            }
            InputFile.$stop.withValue(ReadingStop(isStopped)) {
                #expect(throws: InputFileError.self) { try all(path, room: 1) }
            }
            #expect(asked.withLock { $0 } == 4)
            #expect(try all(path).count == 8)
        }
    }

    @Test func smallFilesAreReadWholeUpToALimit() throws {
        let file = try File("a", Array("abc\ndef\n".utf8))
        #expect(try InputFile.contents(of: file.path, limit: 8) == Array("abc\ndef\n".utf8))
        let error = #expect(throws: InputFileError.self) { try InputFile.contents(of: file.path, limit: 7) }
        #expect(error?.reason.contains("more than 7 bytes") == true)
    }

    @Test func findsAndComparesBytes() {
        let bytes = Array("abcabc".utf8)
        #expect(bytes.firstIndex(of: UInt8(ascii: "c"), in: 0..<6) == 2)
        #expect(bytes.firstIndex(of: UInt8(ascii: "c"), in: 3..<5) == nil)
        #expect(bytes.firstIndex(of: UInt8(ascii: "a"), in: 6..<6) == nil)
        #expect(bytes.hasSameBytes(0..<3, as: bytes, 3..<6))
        #expect(!bytes.hasSameBytes(0..<3, as: bytes, 2..<5))
        #expect(!bytes.hasSameBytes(0..<3, as: bytes, 3..<5))
        #expect(bytes.hasSameBytes(1..<1, as: [], 0..<0))
    }

    @Test func linksLeadToTheirFile() throws {
        let file = try File("a.txt", Self.abc)
        let folder = (file.path as NSString).deletingLastPathComponent
        let real = RegularFile.realPath(file.path)
        for name in ["link", "link of the link"] {
            let target = name == "link" ? "a.txt" : "link"
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/\(name)", withDestinationPath: target)
            #expect(RegularFile.realPath("\(folder)/\(name)") == real)
            #expect(RegularFile.isSame("\(folder)/\(name)", file.path))
        }
        try FileManager.default.linkItem(atPath: file.path, toPath: "\(folder)/hard link")
        #expect(RegularFile.isSame("\(folder)/hard link", file.path))
        try Data(Self.abc).write(to: URL(fileURLWithPath: "\(folder)/copy"))
        for other in ["\(folder)/copy", "\(folder)/none", ""] { #expect(!RegularFile.isSame(other, file.path)) }
        #expect(!RegularFile.isSame("\(folder)/none", "\(folder)/none"))
        #expect(RegularFile.realPath("\(folder)/none") == "\(folder)/none")
    }
}
