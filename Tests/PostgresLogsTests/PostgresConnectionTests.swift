import PostgresClient
import TestSupport
import Testing

@Suite struct PostgresConnectionTests {
    @Test func parametersComeBackAsTheyWere() async throws {
        let connection = try PostgresConnection(address: PrivatePostgres.shared().address())
        let result = try await connection.query(
            "SELECT $1::bool, $2::int4, $3::int8, $4::text, $5::bytea, $6::float4[], $7::text, $8::bytea",
            [
                .bool(true), .int4(-5), .int8(.min), .text("grüße"), .bytes([0, 255]), .float4s([1.5, -0.25]), .null,
                .bytes([]),
            ],
            operation: "test"
        )
        #expect(result.count == 1)
        #expect(result.bool(0, 0))
        #expect(result.int4(0, 1) == -5)
        #expect(result.int8(0, 2) == .min)
        #expect(result.text(0, 3) == "grüße")
        #expect(result.bytes(0, 4) == [0, 255])
        #expect(result.float4s(0, 5) == [1.5, -0.25])
        #expect(result.isNull(0, 6))
        #expect(result.optionalBytes(0, 7) == [])
        await connection.close()
    }

    /// Rows are written by others too.
    @Test func anArrayThatIsNoneOfNumbersIsEmpty() async throws {
        let connection = try PostgresConnection(address: PrivatePostgres.shared().address())
        let result = try await connection.query(
            "SELECT ARRAY[NULL]::real[], ARRAY[1, NULL]::real[], ARRAY[[1, 2], [3, 4]]::real[], '{}'::real[]",
            operation: "test"
        )
        for column in 0..<4 { #expect(result.float4s(0, column) == []) }
        await connection.close()
    }

    @Test func arraysComeAsRows() async throws {
        let connection = try PostgresConnection(address: PrivatePostgres.shared().address())
        let sql = "SELECT * FROM unnest($1::int4[], $2::int8[], $3::text[], $4::bytea[])"
        let result = try await connection.query(
            sql,
            [.int4s([1, 2]), .int8s([7, nil]), .texts(["a", ""]), .byteArrays([nil, [1]])],
            operation: "test"
        )
        #expect(result.count == 2)
        #expect(result.int4(1, 0) == 2)
        #expect(result.optionalInt8(1, 1) == nil)
        #expect(result.text(0, 2) == "a")
        #expect(result.optionalBytes(0, 3) == nil)
        #expect(result.bytes(1, 3) == [1])
        let empty = try await connection.query(
            sql,
            [.int4s([]), .int8s([]), .texts([]), .byteArrays([])],
            operation: "test"
        )
        #expect(empty.count == 0)
        await connection.close()
    }

    @Test func errorsHaveTheirKind() async throws {
        let connection = try PostgresConnection(address: PrivatePostgres.shared().address())
        func kind(_ sql: String) async -> PostgresError.Kind? {
            do {
                try await connection.execute(sql, operation: "test")
                return nil
            } catch {
                return error.kind
            }
        }
        #expect(await kind("SELECT 1/0") == .data)
        #expect(await kind("SELECT * FROM absent") == .configuration)
        #expect(await kind("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'UL001'; END $$") == .fenced)
        #expect(await kind("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$") == .retry)
        #expect(await kind("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$") == .connection)
        #expect(await kind("SELECT pg_terminate_backend(pg_backend_pid())") == .connection)
        // The next call connects again.
        #expect(await kind("SELECT 1") == nil)
        await connection.close()
    }

    @Test func noServerIsAConnectionError() async throws {
        let connection = try PostgresConnection(address: "postgresql://someone:s3cret@127.0.0.1:1/base")
        let error = await #expect(throws: PostgresError.self) { try await connection.connect() }
        #expect(error?.kind == .connection)
        #expect(error?.description.contains("127.0.0.1") == true)
        #expect(error?.description.contains("s3cret") == false)
    }

    @Test func theAddressSaysHowLongConnectingMayTake() async throws {
        let server = try SilentServer()
        let connection = try PostgresConnection(
            PostgresAddress("postgresql://someone@127.0.0.1:\(server.port)/base?connect_timeout=1"),
            PostgresSettings(connectTimeout: .seconds(3_600))
        )
        let error = await #expect(throws: PostgresError.self) { try await connection.connect() }
        #expect(error?.description.contains("no answer within 1.0 seconds") == true, "\(String(describing: error))")
    }

    @Test(arguments: ["soon", "-1", "1.5", "99999999999999999999"])
    func howLongConnectingMayTakeIsANumberOfSeconds(value: String) throws {
        let address = "host=h connect_timeout=\(value)"
        let error = #expect(throws: PostgresError.self) { try PostgresAddress(address) }
        #expect(error?.description.contains("connect_timeout is a number of seconds") == true)
    }

    @Test func missingDatabaseIsNamed() async throws {
        let connection = try PostgresConnection(address: PrivatePostgres.shared().address("absent"))
        let error = await #expect(throws: PostgresError.self) { try await connection.connect() }
        #expect(error?.code.rawValue == "3D000")
        #expect(error?.kind == .configuration)
        #expect(error?.description.contains("absent") == true)
    }

    @Test(arguments: [
        "postgresql://someone:s3cret@host:5432/base?nonsense=1", "host=h password=s3cret nonsense=1",
        "postgresql://u:s3cret@[::1/x",
    ])
    func passwordsAreNeverShown(address: String) throws {
        let error = #expect(throws: PostgresError.self) { try PostgresAddress(address) }
        #expect(error?.description.contains("s3cret") == false, "\(String(describing: error))")
    }

    @Test func largeStatementsAndResultsPass() async throws {
        let connection = try PostgresConnection(address: PrivatePostgres.shared().address())
        let large = (0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let result = try await connection.query("SELECT $1::bytea", [.bytes(large)], operation: "test")
        #expect(result.bytes(0, 0) == large)
        await connection.close()
    }
}
