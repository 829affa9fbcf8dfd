import Testing

@testable import ServiceRuntime

@Suite struct ConfigurationTests {
    private static let count = ConfigurationKey<Int>(
        "batch-count",
        default: 100,
        in: 1...1_000,
        help: "Records of a batch"
    )
    private static let wait = ConfigurationKey<Duration>("wait", help: "How long to wait")
    private static let isFast = ConfigurationKey<Bool>("fast", default: true, help: "Whether to be fast")
    private static let token = ConfigurationKey<String>("api-token", sensitivity: .secret, help: "The callers' token")
    private static let keys: [any AnyConfigurationKey] = [count, wait, isFast, token, CommonKeys.log]

    private func parse(_ words: [String]) throws -> (
        command: Command, flags: [String: String], arguments: [String: [String]]
    ) {
        let commands = [
            Command(summary: "Serves", keys: Self.keys) { _ in },
            Command("import", summary: "Imports", arguments: [.init("file", help: "what to read")], keys: Self.keys) {
                _ in
            },
            Command("train encoder", summary: "Trains", keys: Self.keys) { _ in },
        ]
        guard case .run(let command, let arguments, let flags) = try CommandLineParser(commands: commands).parse(words)
        else { throw ConfigurationError.usage("help") }
        return (command, flags, arguments)
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func takesFlagThenEnvironmentThenFileThenDefault() throws {
        let file = try ConfigurationFile(text: "# all\nbatch-count = 4\nwait = \"250ms\"\n", path: "a.conf")
        let environment = ["USERLLM_BATCH_COUNT": "3"]
        let all = try ConfigurationReader(
            keys: Self.keys,
            flags: ["batch-count": "2"],
            environment: environment,
            file: file
        )
        #expect(try all.value(of: Self.count) == 2)
        #expect(try all.value(of: Self.wait) == .milliseconds(250))
        let two = try ConfigurationReader(keys: Self.keys, environment: environment, file: file)
        #expect(try two.value(of: Self.count) == 3)
        let one = try ConfigurationReader(keys: Self.keys, file: file)
        #expect(try one.value(of: Self.count) == 4)
        #expect(try ConfigurationReader(keys: Self.keys).value(of: Self.count) == 100)
    }

    @Test func namesKeyValueAndExpectation() {
        let range = message { _ = try ConfigurationReader(keys: Self.keys, flags: ["batch-count": "5000"]) }
        #expect(range == "batch-count: \"5000\" (from --batch-count) is not allowed: expected from 1 to 1000")
        let type = message { _ = try ConfigurationReader(keys: Self.keys, environment: ["USERLLM_WAIT": "soon"]) }
        #expect(type.contains("wait: \"soon\" (from USERLLM_WAIT)") && type.contains("250ms"))
        let missing = message { _ = try ConfigurationReader(keys: Self.keys).value(of: Self.wait) }
        #expect(missing == "wait is not set: give --wait or set USERLLM_WAIT (How long to wait)")
    }

    @Test func namesTheNearestFlagKeyAndCommand() throws {
        #expect(
            message { _ = try parse(["--batch-cuont", "3"]) }
                == "there is no flag --batch-cuont: did you mean --batch-count?"
        )
        #expect(message { _ = try parse(["imprt", "x"]) } == "there is no command \"imprt\": did you mean import?")
        let file = try ConfigurationFile(text: "\nbatchcount=3", path: "a.conf")
        let text = message { _ = try ConfigurationReader(keys: Self.keys, file: file) }
        #expect(text == "a.conf:2: there is no key batchcount: did you mean batch-count?")
    }

    @Test func readsCommandsArgumentsAndFlags() throws {
        let found = try parse(["import", "--batch-count=7", "ratings.dat", "--no-fast", "--wait", "1.5s"])
        #expect(found.command.name == "import")
        #expect(found.arguments == ["file": ["ratings.dat"]])
        #expect(found.flags == ["batch-count": "7", "fast": "false", "wait": "1.5s"])
        #expect(try parse(["train", "encoder", "--fast"]).command.name == "train encoder")
        #expect(message { _ = try parse(["import"]) } == "FILE is missing: what to read")
        #expect(message { _ = try parse(["import", "a", "b"]) }.contains("\"b\" is one argument too many"))
        #expect(message { _ = try parse(["--wait"]) } == "--wait needs a value")
    }

    @Test func takesSecretsFromEverywhereButFlagsAndHidesThem() throws {
        #expect(message { _ = try parse(["--api-token", "hush"]) }.contains("USERLLM_API_TOKEN"))
        let reader = try ConfigurationReader(
            keys: Self.keys,
            flags: ["log": "postgresql://me:hush@db/x"],
            environment: ["USERLLM_API_TOKEN": "hush"]
        )
        #expect(try reader.value(of: Self.token) == "hush")
        #expect(reader.shownValues == ["api-token": "<redacted>", "log": "postgresql://me:<redacted>@db/x"])
    }

    /// A secret in any place of the command line, the environment or a file, whatever is wrong with it.
    @Test func noErrorShowsASecret() throws {
        let secret = "S3cR3t"
        let addresses = [
            "postgresql://u:\(secret)@h/db", "postgress://u:\(secret)@h/db", "postgresql://u:a/\(secret)@h/db",
            "host=h password=\(secret)", "kafka://h?ssl.key.pem=\(secret)", "kafka://u:\(secret)", secret,
        ]
        let refusing = ConfigurationKey<String>("target", sensitivity: .address, help: "Where to") { _ in false }
        let keys = Self.keys + [refusing]
        for address in addresses {
            var errors = [
                message { _ = try ConfigurationReader(keys: keys, flags: ["target": address]) },
                message { _ = try ConfigurationReader(keys: keys, environment: ["USERLLM_TARGET": address]) },
                message {
                    let file = try ConfigurationFile(text: "target = \(address)", path: "a.conf")
                    _ = try ConfigurationReader(keys: keys, file: file)
                },
                message { _ = try parse(["--api-token", secret]) },
                message { _ = try parse(["--api-token=\(secret)"]) },
                message { _ = try parse(["--api-tokem=\(secret)"]) },
                message { _ = try parse(["-p\(secret)"]) },
                message { _ = try ConfigurationFile(text: "log = x\n\(secret)", path: "a.conf") },
                message { _ = try ConfigurationFile(text: "api-token \(secret)", path: "a.conf") },
                message {
                    let file = try ConfigurationFile(text: "api-tokem = \(secret)", path: "a.conf")
                    _ = try ConfigurationReader(keys: keys, file: file)
                },
            ]
            // Words that a shell has torn off an address.
            if address != secret {
                errors.append(message { _ = try parse(["import", "x", address]) })
                errors.append(
                    message { _ = try parse(["import", "x"] + address.split(separator: " ").map(String.init)) }
                )
                errors.append(message { _ = try parse([address]) })
            }
            for error in errors {
                #expect(!error.contains(secret) && error != "no error", "\(address): \(error)")
            }
            let reader = try ConfigurationReader(keys: Self.keys, flags: ["log": address])
            #expect(!reader.shownValues.description.contains(secret))
            #expect(!reader.effectiveValues.description.contains(secret))
        }
    }

    @Test func helpListsEveryKeyWithTypeDefaultAndUnit() throws {
        let help = try parse([]).command.help(program: "x")
        #expect(help.contains("--batch-count <integer>\n      Records of a batch (default 100)"))
        #expect(help.contains("--api-token-file <path>"))
        for key in try parse([]).command.keys where !key.isSecret {
            #expect(help.contains("--\(key.name)\(key.isFlag ? "," : " ")"))
        }
    }

    @Test(arguments: [("250ms", 0.25), ("1.5s", 1.5), ("2m", 120), ("1h", 3600), ("10us", 0.00001), ("0s", 0)])
    func readsDurations(text: String, seconds: Double) throws {
        let duration = try #require(Duration(configurationText: text))
        #expect(abs(duration / .seconds(1) - seconds) < 1e-9)
        #expect(Duration(configurationText: duration.configurationText) == duration)
    }

    @Test(arguments: ["", "5", "s", "-1s", "1.2.3s", "1w", "1e99h"])
    func refusesWhatIsNoDuration(text: String) {
        #expect(Duration(configurationText: text) == nil)
    }
}
