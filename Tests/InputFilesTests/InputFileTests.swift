import Foundation
import InputFiles
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
        let garbage = try File("a.gz", Self.abc + Array("garbage".utf8))
        #expect(reason(garbage.path).contains("is damaged"))
    }

    @Test func missingFilesAndFoldersAreNamed() throws {
        #expect(reason("/nowhere/a").contains("/nowhere/a: does not exist"))
        #expect(reason("/tmp").contains("is a folder"))
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
}
