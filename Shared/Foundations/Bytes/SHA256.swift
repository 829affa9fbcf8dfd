import CSodium

/// The SHA-256 hash of bytes that come piece by piece.
public struct SHA256 {
    private var state = crypto_hash_sha256_state()

    /// Starts a hash.
    public init() { crypto_hash_sha256_init(&state) }

    /// Adds bytes.
    public mutating func update(_ bytes: some Collection<UInt8>) {
        let added: Void? = bytes.withContiguousStorageIfAvailable { buffer in
            _ = crypto_hash_sha256_update(&state, buffer.baseAddress, UInt64(buffer.count))
        }
        if added == nil { update(Array(bytes)) }
    }

    /// The hash of all bytes so far, 32 bytes.
    public consuming func digest() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        crypto_hash_sha256_final(&state, &digest)
        return digest
    }

    /// The hash of all bytes so far, as 64 lower-case hexadecimal digits.
    public consuming func hexDigest() -> String {
        let digest = digest()
        let digits = Array("0123456789abcdef")
        return String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    /// The hash of bytes, 32 bytes.
    public static func digest(of bytes: some Collection<UInt8>) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.digest()
    }

    /// The hash of bytes, as 64 lower-case hexadecimal digits.
    public static func hexDigest(of bytes: some Collection<UInt8>) -> String {
        var hash = SHA256()
        hash.update(bytes)
        return hash.hexDigest()
    }
}
