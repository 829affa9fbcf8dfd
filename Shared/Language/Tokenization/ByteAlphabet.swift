/// The printable characters that stand for the 256 bytes in a byte-level vocabulary.
///
/// Printable Latin-1 characters stand for themselves, the other bytes for the characters from U+0100 on, in order.
/// - Source: GPT-2's `bytes_to_unicode`, as in Hugging Face's `ByteLevel`.
enum ByteAlphabet {
    /// The character of each byte.
    static let characters: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (0...255).map { (byte: UInt32) in
            let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
            let code = isPrintable ? byte : next
            if !isPrintable { next += 1 }
            return Unicode.Scalar(code) ?? " "
        }
    }()

    /// The byte of each character below U+0180; -1 for one that stands for none.
    private static let bytes: [Int16] = {
        var bytes = [Int16](repeating: -1, count: 0x180)
        for (byte, character) in characters.enumerated() { bytes[Int(character.value)] = Int16(byte) }
        return bytes
    }()

    /// Bytes as they are written in a vocabulary.
    static func text(of bytes: [UInt8]) -> String {
        var scalars = String.UnicodeScalarView()
        for byte in bytes { scalars.append(characters[Int(byte)]) }
        return String(scalars)
    }

    /// The bytes of a vocabulary entry; nil when one of its characters stands for no byte.
    static func bytes(of text: String) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            guard scalar.value < 0x180, let byte = UInt8(exactly: bytes[Int(scalar.value)]) else { return nil }
            result.append(byte)
        }
        return result
    }
}
