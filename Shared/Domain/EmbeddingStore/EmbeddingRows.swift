import PostgresClient
import Bytes
public import Messages

/// Rows for `user_embeddings` as the server takes them: one array per column, the fastest safe way to insert.
///
/// They are prepared here, so that this can overlap with writing the previous rows.
public struct EmbeddingRows: Sendable {
    /// The columns of `row`, in order.
    static let names = """
        user_id, model_version, generation, event_count, source_partition, source_offset, appended_at,
        context_rows, context_columns, context, pooled, seen_items
        """

    /// The rows that are kept, in the order of the key.
    public let embeddings: [UserEmbedding]
    /// How many rows.
    public var count: Int { embeddings.count }
    /// In the order of the function's parameters.
    let parameters: [PostgresValue]

    /// Keeps the newest row of each user and version (of equal ones the last) in key order, so that two writers cannot
    /// deadlock.
    public init(_ rows: [UserEmbedding]) {
        struct Key: Hashable {
            let user: UserID
            let version: TextKey
        }
        var newest: [Key: UserEmbedding] = [:]
        for row in rows {
            let key = Key(user: row.user, version: TextKey(row.modelVersion))
            if let known = newest[key], (known.generation, known.eventCount) > (row.generation, row.eventCount) {
                continue
            }
            newest[key] = row
        }
        embeddings = newest.sorted { ($0.key.user, $0.key.version) < ($1.key.user, $1.key.version) }.map(\.value)
        parameters = Self.parameters(of: embeddings).map(\.encoded)
    }

    private static func parameters(of rows: [UserEmbedding]) -> [PostgresValue] {
        var pooled: [Float] = []
        var ends: [Int32] = []
        for row in rows {
            pooled += row.pooled
            ends.append(Int32(pooled.count))
        }
        return [
            .texts(rows.map(\.user.text)), .texts(rows.map(\.modelVersion)),
            // The record's validation has already limited these to the columns' ranges.
            .int4s(rows.map { Int32(clamping: $0.generation) }), .int8s(rows.map { Int64(clamping: $0.eventCount) }),
            .int4s(rows.map(\.sourcePartition)), .int8s(rows.map(\.sourceOffset)), .int8s(rows.map(\.appendedAt)),
            .int4s(rows.map { Int32(clamping: $0.rows) }), .int4s(rows.map { Int32(clamping: $0.columns) }),
            .byteArrays(rows.map { littleEndian($0.context) }),
            .float4s(pooled), .int4s(ends), .int4s(rows.map { Int32($0.pooled.count) }),
            .byteArrays(rows.map(\.seenItems.coded)),
        ]
    }

    private static func littleEndian(_ numbers: [Float]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: numbers.count * 4) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            for (index, number) in numbers.enumerated() {
                raw.storeBytes(of: number.bitPattern.littleEndian, toByteOffset: index * 4, as: UInt32.self)
            }
            count = numbers.count * 4
        }
    }

    /// Reads a row of a result that has the columns `names`.
    ///
    /// - Throws: `PostgresError` of kind `.data` for seen items that cannot be read.
    static func row(_ result: PostgresResult, _ row: Int) throws(PostgresError) -> UserEmbedding {
        let seenItems: SeenItems
        do throws(MessageError) {
            seenItems = try SeenItems(coded: result.bytes(row, 11))
        } catch {
            throw PostgresError(
                code: .invalidValue,
                message: "the column \(error.description)",
                operation: "reading the embedding of a user"
            )
        }
        return UserEmbedding(
            user: UserID(result.text(row, 0)),
            modelVersion: result.text(row, 1),
            generation: UInt32(clamping: result.int4(row, 2)),
            eventCount: UInt64(clamping: result.int8(row, 3)),
            sourcePartition: result.int4(row, 4),
            sourceOffset: result.int8(row, 5),
            appendedAt: result.int8(row, 6),
            rows: Int(result.int4(row, 7)),
            columns: Int(result.int4(row, 8)),
            context: result.littleEndianFloats(row, 9),
            pooled: result.float4s(row, 10),
            seenItems: seenItems
        )
    }
}
