import CLibpq

/// The rows that a statement gave, in binary format.
///
/// libpq's manual, "Behavior in Threaded Programs": PGresult objects are normally read-only after creation, and so can
/// be passed around freely between threads.
public final class PostgresResult: @unchecked Sendable {
    private let result: OpaquePointer
    /// How many rows there are.
    public let count: Int

    /// Takes over a result.
    package init(_ result: OpaquePointer) {
        self.result = result
        count = Int(PQntuples(result))
    }

    deinit { PQclear(result) }

    /// How many rows an `INSERT`, `UPDATE` or `DELETE` touched.
    public var affectedCount: Int { Int(String(cString: PQcmdTuples(result))) ?? 0 }

    /// Whether a value is NULL.
    public func isNull(_ row: Int, _ column: Int) -> Bool {
        PQgetisnull(result, Int32(row), Int32(column)) != 0
    }

    /// Lends a value's bytes.
    private func raw(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer {
        precondition(row < count && column < PQnfields(result), "row \(row) of \(count), column \(column)")
        let byteCount = Int(PQgetlength(result, Int32(row), Int32(column)))
        return UnsafeRawBufferPointer(start: PQgetvalue(result, Int32(row), Int32(column)), count: byteCount)
    }

    private func integer<Value: FixedWidthInteger>(_ row: Int, _ column: Int, _ type: Value.Type) -> Value {
        let bytes = raw(row, column)
        precondition(
            bytes.count == MemoryLayout<Value>.size,
            "column \(column) has \(bytes.count) bytes, not a \(type)"
        )
        return Value(bigEndian: bytes.loadUnaligned(as: Value.self))
    }

    /// An `int4`.
    public func int4(_ row: Int, _ column: Int) -> Int32 { integer(row, column, Int32.self) }

    /// An `int8`.
    public func int8(_ row: Int, _ column: Int) -> Int64 { integer(row, column, Int64.self) }

    /// An `int8` or NULL.
    public func optionalInt8(_ row: Int, _ column: Int) -> Int64? { isNull(row, column) ? nil : int8(row, column) }

    /// A `boolean`.
    public func bool(_ row: Int, _ column: Int) -> Bool { integer(row, column, UInt8.self) != 0 }

    /// A `text`.
    public func text(_ row: Int, _ column: Int) -> String { String(decoding: raw(row, column), as: UTF8.self) }

    /// A `bytea`.
    public func bytes(_ row: Int, _ column: Int) -> [UInt8] { [UInt8](raw(row, column)) }

    /// A `bytea` or NULL.
    public func optionalBytes(_ row: Int, _ column: Int) -> [UInt8]? { isNull(row, column) ? nil : bytes(row, column) }

    /// A `float4[]` of one dimension; empty when it is none, or has NULLs.
    public func float4s(_ row: Int, _ column: Int) -> [Float] {
        let bytes = raw(row, column)
        func word(_ at: Int) -> UInt32 { UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)) }
        // With a NULL there are fewer words: others write rows too.
        guard bytes.count >= 20, word(0) == 1, bytes.count == 20 + Int(word(12)) * 8 else { return [] }
        return (0..<Int(word(12))).map { Float(bitPattern: word(20 + $0 * 8 + 4)) }
    }

    /// A `bytea` of little-endian Float32.
    public func littleEndianFloats(_ row: Int, _ column: Int) -> [Float] {
        let bytes = raw(row, column)
        return (0..<(bytes.count / 4)).map {
            Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
        }
    }
}
