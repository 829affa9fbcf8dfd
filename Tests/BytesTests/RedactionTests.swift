import Bytes
import Testing

@Suite struct RedactionTests {
    /// What is written as it should be keeps all that helps.
    @Test(arguments: [
        ("kafka://one:9092,two:9092", "kafka://one:9092,two:9092"),
        (
            "kafka://[::1]:9092?sasl.username=me&retry.backoff.ms=5",
            "kafka://[::1]:9092?sasl.username=me&retry.backoff.ms=5"
        ),
        ("postgresql://a@h/x?password=p%20q&sslmode=require", "postgresql://a@h/x?password=<redacted>&sslmode=require"),
        ("postgresql://a:p:q@h/x", "postgresql://a:<redacted>@h/x"),
        ("postgresql://a:p@/x?host=/run/pg", "postgresql://a:<redacted>@/x?host=/run/pg"),
        ("postgresql:///x", "postgresql:///x"),
        ("postgres://10.0.0.1:5432", "postgres://10.0.0.1:5432"),
        ("host=a password=b user=c port=5432", "host=a password=<redacted> user=c port=5432"),
        (#"host = a password = 'it\'s b' user=c"#, "host=a password=<redacted> user=c"),
        ("dbname=", "dbname="),
    ])
    func showsWhatIsHarmless(text: String, shown: String) {
        #expect(Redaction.address(text) == shown)
    }

    static let secret = "S3cR3t"

    /// Whatever is wrong with an address, what stands where a password may be is not shown.
    static let addresses: [String] = {
        let passwords = [
            secret, "\(secret)/x", "x/\(secret)", "\(secret)@x", "x@\(secret)", "x:\(secret)", "\(secret)%",
            "%\(secret)",
            "\(secret)%zz", "x?\(secret)", "\(secret)?x", "x#\(secret)", "1/\(secret)", "1?\(secret)", "12#\(secret)",
            "\(secret)&x=1", "'\(secret)", "\"\(secret)\"", "a b\(secret)", "[\(secret)", "x,\(secret)",
        ]
        let urls = passwords.flatMap { password in
            ["postgresql", "postgres", "postgress", "kafka", "http", "PostgreSQL", "pg+x"].flatMap { scheme in
                [
                    "\(scheme)://u:\(password)@host:5432/db", "\(scheme)://u:\(password)@",
                    "\(scheme)://:\(password)@host",
                    "\(scheme)://u:\(password)@a:1,b:2/db?sslmode=require",
                    // Without a host; what follows an @ or a / would be one, or a database.
                    "\(scheme)://u:\(password.contains { "@/".contains($0) } ? secret : password)",
                ]
            }
        }
        let keys = [
            "password", "sslpassword", "sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.certificate.pem",
            "pasword",
            "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret", "x", "PASSWORD", "ssl.ca.pem", "options",
        ]
        let queries = keys.flatMap { key in
            [secret, "a%20\(secret)", "\(secret)@x", "x/\(secret)", "x?\(secret)"].flatMap { value in
                [
                    "kafka://host:9092?\(key)=\(value)", "postgresql://u@host/db?sslmode=require&\(key)=\(value)",
                    "kafka://host?\(key)=\(value)&debug=all", "host=h \(key)=\(value)", "\(key) = '\(value)' host=h",
                    "\(key)='a \(value)", "host=h \(key) \(value)", "host=h\n\(key)=x\\ \(value) user=u",
                ]
            }
        }
        return urls + queries + [
            secret, "host=h \(secret)", "host='\(secret)", "kafka://h?\(secret)", "kafka://h?a&\(secret)",
            "://u:\(secret)@h", "u:\(secret)@h", "dbname=postgresql://u:\(secret)@h", "host=h password=x \(secret)=1",
            "kafka://h?host=postgres://u:\(secret)@h",
        ]
    }()

    @Test(arguments: addresses)
    func showsNoSecret(address: String) {
        let shown = Redaction.address(address)
        #expect(!shown.contains(Self.secret), "\(address) is shown as \(shown)")
        #expect(shown.contains(Redaction.mark))
    }

    @Test func wordsAreShownUnlessTheyMayBePartsOfAnAddress() {
        #expect(Redaction.word("imprt") == "imprt")
        #expect(Redaction.word("password=hush") == "password=<redacted>")
        #expect(!Redaction.word("postgresql://u:hush@h").contains("hush"))
        #expect(!Redaction.word("u:hush@h").contains("hush"))
    }

    @Test func whatOthersSayIsShownWithoutSecrets() {
        let secrets = Redaction.secrets(in: "postgresql://u:p%41ss@h/x?sslpassword=other")
        #expect(Redaction.hiding(secrets, in: "no p%41ss here, nor other") == "no <redacted> here, nor <redacted>")
        #expect(Redaction.secrets(in: "host=h password='a b'") == ["a b"])
        #expect(Redaction.hiding(["a", "abc"], in: "abc") == "<redacted>")
    }
}
