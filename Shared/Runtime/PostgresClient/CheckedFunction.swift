package import Failpoints

#if TEST_SWITCHES
    import Foundation
#endif

/// A SQL function of ours that rejects invalid writes, by checks that a test may switch off.
package struct CheckedFunction: Sendable {
    private let schema: String
    private let name: String

    #if TEST_SWITCHES
        private static let unprotectedSchema = "userllm_unprotected"

        private let checks: @Sendable () -> [(protection: Protection, sql: String)]

        /// Names a function and its checks, as its definition has them.
        package init(
            schema: String,
            name: String,
            checks: @autoclosure @escaping @Sendable () -> [(protection: Protection, sql: String)]
        ) {
            (self.schema, self.name, self.checks) = (schema, name, checks)
        }

        private var isUnprotected: Bool { checks().contains(where: \.protection.isOff) }

        /// What to call: the function, or the copy where one of its checks is switched off.
        package var qualifiedName: String { "\(isUnprotected ? Self.unprotectedSchema : schema).\(name)" }

        /// Makes a copy of the function without the checks that are switched off, where there are any.
        ///
        /// The function itself stays as it is.
        ///
        /// - Throws: `PostgresError`, also when the function does not have the check that is to be left out.
        package func prepare(_ connection: PostgresConnection) async throws(PostgresError) {
            guard isUnprotected else { return }
            let operation = "making \(qualifiedName)"
            var definition = try await connection.query(
                "SELECT pg_get_functiondef(to_regproc($1)::oid)",
                [.text("\(schema).\(name)")],
                operation: operation
            ).text(0, 0)
            for (protection, check) in checks() where protection.isOff {
                let words = check.split(whereSeparator: \.isWhitespace).map {
                    NSRegularExpression.escapedPattern(for: String($0))
                }
                guard let range = definition.range(of: words.joined(separator: #"\s+"#), options: .regularExpression)
                else {
                    throw PostgresError(code: .none, message: "it has no \(protection.name)", operation: operation)
                }
                definition.removeSubrange(range)
            }
            let copy = definition.replacingOccurrences(
                of: "FUNCTION \(schema).\(name)(",
                with: "FUNCTION \(qualifiedName)("
            )
            // Several processes may do this at the same time.
            try await connection.execute(
                """
                SELECT pg_advisory_xact_lock(\(0x5553_4C4C_0004));
                CREATE SCHEMA IF NOT EXISTS \(Self.unprotectedSchema);
                \(copy)
                """,
                operation: operation
            )
        }
    #else
        /// Names a function; its checks are those of its definition, always.
        package init(
            schema: String,
            name: String,
            checks: @autoclosure @Sendable () -> [(protection: Protection, sql: String)]
        ) {
            (self.schema, self.name) = (schema, name)
        }

        /// What to call.
        package var qualifiedName: String { "\(schema).\(name)" }

        /// Does nothing in this build.
        package func prepare(_ connection: PostgresConnection) async throws(PostgresError) {}
    #endif
}
