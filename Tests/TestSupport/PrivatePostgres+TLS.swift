import Foundation

extension PrivatePostgres {
    /// Makes a certificate for `127.0.0.1` that signs itself, as whoever the server runs.
    ///
    /// - Parameter name: of the files in the cluster's folder.
    /// - Returns: the certificate's file, which is also the root that verifies it; the key lies beside it.
    /// - Throws: `Failure` with what openssl printed.
    public func makeCertificate(_ name: String) throws -> String {
        let path = "\(folder)/\(name)"
        try run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=\(name)", "-addext",
                "subjectAltName=IP:127.0.0.1", "-keyout", "\(path).key", "-out", "\(path).crt",
            ]
        )
        return "\(path).crt"
    }

    /// Lets a server that listens on a port take connections over TLS too.
    ///
    /// - Returns: the file of the root certificate that verifies the server.
    /// - Throws: `Failure`.
    public func enableTLS() throws -> String {
        let certificate = try makeCertificate("server")
        // The server looks for these files in its folder.
        try psql(address(), "ALTER SYSTEM SET ssl = on")
        try run("pg_ctl", ["restart", "-D", folder, "-l", folder + "/log", "-w", "-t", "600", "-m", "fast"])
        return certificate
    }
}
