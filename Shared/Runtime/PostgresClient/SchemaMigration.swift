/// Tables and functions that a part of the system keeps in a database, in numbered steps.
///
/// Any number of processes may migrate at once: the steps run under an advisory lock, each in a transaction of its own
/// together with the row that says it was done.
package struct SchemaMigration {
    /// What errors call it.
    package let name: String
    /// The PostgreSQL schema.
    package let schema: String
    /// The table in it that lists the steps that were done.
    package let versionTable: String
    /// Which advisory lock.
    package let lock: Int64
    /// The steps; the first leads to version 1.
    package let steps: [String]

    /// Describes tables and functions.
    package init(name: String, schema: String, versionTable: String, lock: Int64, steps: [String]) {
        self.name = name
        self.schema = schema
        self.versionTable = versionTable
        self.lock = lock
        self.steps = steps
    }

    /// Brings the database to the version of this program.
    package func apply(_ connection: PostgresConnection) async throws(PostgresError) {
        let operation = "setting up the schema of \(name)"
        let table = "\(schema).\(versionTable)"
        var version = try await version(connection, operation)
        if version == nil {
            try await connection.execute(
                """
                SELECT pg_advisory_xact_lock(\(lock));
                \(schema == "public" ? "" : "CREATE SCHEMA IF NOT EXISTS \(schema);")
                CREATE TABLE IF NOT EXISTS \(table)
                    (version int4 PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
                """,
                operation: operation
            )
            version = try await self.version(connection, operation)
        }
        try check(version ?? 0, operation)
        for (index, step) in steps.enumerated().dropFirst(Int(version ?? 0)) {
            try await connection.execute(
                """
                SELECT pg_advisory_xact_lock(\(lock));
                DO $migration$ BEGIN
                    IF NOT EXISTS (SELECT FROM \(table) WHERE version = \(index + 1)) THEN
                        EXECUTE $step$ \(step) $step$;
                        INSERT INTO \(table) (version) VALUES (\(index + 1));
                    END IF;
                END $migration$;
                """,
                operation: operation
            )
        }
    }

    /// Fails unless the database has exactly the version of this program.
    package func verify(_ connection: PostgresConnection) async throws(PostgresError) {
        let operation = "checking the schema of \(name)"
        guard let version = try await version(connection, operation) else {
            throw PostgresError(
                code: .undefinedTable,
                message: "the database has no tables of it: start an embedding-writer, which makes them",
                operation: operation
            )
        }
        try check(version, operation)
        guard version == steps.count else {
            throw PostgresError(
                code: .undefinedTable,
                message:
                    "the database has version \(version), this program needs \(steps.count): start an embedding-writer "
                    + "of this version, which migrates them",
                operation: operation
            )
        }
    }

    private func check(_ version: Int32, _ operation: String) throws(PostgresError) {
        guard version <= steps.count else {
            throw PostgresError(
                code: .undefinedTable,
                message:
                    "the database has version \(version), this program knows only \(steps.count): use a newer program",
                operation: operation
            )
        }
    }

    private func version(_ connection: PostgresConnection, _ operation: String) async throws(PostgresError) -> Int32? {
        let table = "\(schema).\(versionTable)"
        let found = try await connection.query(
            "SELECT to_regclass($1) IS NOT NULL",
            [.text(table)],
            operation: operation
        )
        guard found.bool(0, 0) else { return nil }
        let result = try await connection.query("SELECT coalesce(max(version), 0) FROM \(table)", operation: operation)
        return result.int4(0, 0)
    }
}
