import Foundation

/// A folder that lives as long as the test that made it.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("datasets-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws {
        try write(name, bytes: Array(text.utf8))
    }

    func write(_ name: String, bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    /// Writes a text as `gzip` does.
    func write(_ name: String, gzip text: String) throws {
        try write(name, bytes: Self.gzip(text))
    }

    /// A gzip file that holds a text in blocks without compression.
    ///
    /// - Source: RFC 1951 and 1952.
    static func gzip(_ text: String) -> [UInt8] {
        func littleEndian(_ value: UInt32, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
        }
        let bytes = Array(text.utf8)
        var file: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
        var start = 0
        repeat {
            let end = min(start + 65_535, bytes.count)
            let count = UInt32(end - start)
            file.append(end == bytes.count ? 1 : 0)
            file += littleEndian(count, 2) + littleEndian(~count, 2) + bytes[start..<end]
            start = end
        } while start < bytes.count
        var checksum: UInt32 = ~0
        for byte in bytes {
            checksum ^= UInt32(byte)
            for _ in 0..<8 { checksum = checksum & 1 == 1 ? checksum >> 1 ^ 0xEDB8_8320 : checksum >> 1 }
        }
        return file + littleEndian(~checksum, 4) + littleEndian(UInt32(bytes.count), 4)
    }
}
