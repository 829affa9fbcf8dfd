// swift-tools-version: 6.2

import PackageDescription

/// What every target is built with: Swift 6, explicit imports, and no warning.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

/// For targets in which an unsafe pointer is a compile error.
let safe: [SwiftSetting] = strict + [.strictMemorySafety()]

/// Whether `Deploy/fuzz` builds: then there is the fuzzer and nothing else to run.
let isFuzzing = Context.environment["USERLLM_FUZZ"] != nil

func cLibrary(_ name: String, pkgConfig: String, debian: String) -> Target {
    .systemLibrary(
        name: name,
        path: "Shared/CLibraries/\(name)",
        pkgConfig: pkgConfig,
        providers: [.apt([debian])]
    )
}

func shared(
    _ name: String,
    _ dependencies: [Target.Dependency],
    _ settings: [SwiftSetting] = strict,
    exclude: [String] = []
) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: "Shared/\(name)",
        exclude: exclude,
        swiftSettings: settings
    )
}

/// A service, except for the fuzzer: it links services into its own process, so they are libraries then, whose `main` has
/// another name.
func service(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    let dependencies = ["ServiceRuntime"] + dependencies
    let path = "Services/\(name)"
    guard isFuzzing else {
        return .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: safe)
    }
    let renamed = ["-Xfrontend", "-entry-point-function-name", "-Xfrontend", "\(name)_main"]
    return .target(
        name: name,
        dependencies: dependencies,
        path: path,
        swiftSettings: safe + [.unsafeFlags(["-parse-as-library"] + renamed)]
    )
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name,
        dependencies: ["TestSupport"] + dependencies,
        path: "Tests/\(name)",
        swiftSettings: strict
    )
}

let package = Package(
    name: "UserLLM",
    products: [
        .executable(name: "event-ingestor", targets: ["EventIngestor"]),
        .executable(name: "encoder-worker", targets: ["EncoderWorker"]),
        .executable(name: "embedding-writer", targets: ["EmbeddingWriter"]),
        .executable(name: "llm-responder", targets: ["LLMResponder"]),
        .executable(name: "gateway", targets: ["Gateway"]),
        .executable(name: "trainer", targets: ["Trainer"]),
        .executable(name: "userllm", targets: ["Launcher"]),
        .executable(name: "verify", targets: ["Verify"]),
        .executable(name: "benchmarks", targets: ["Benchmarks"]),
        .executable(name: "kafka-append-peer", targets: ["KafkaAppendPeer"]),
    ],
    targets: [
        // C libraries of Debian 12, each imported by one Swift target.
        cLibrary("CRdkafka", pkgConfig: "rdkafka", debian: "librdkafka-dev"),
        cLibrary("CLibpq", pkgConfig: "libpq", debian: "libpq-dev"),
        cLibrary("COpenBLAS", pkgConfig: "openblas", debian: "libopenblas-dev"),
        cLibrary("CMicrohttpd", pkgConfig: "libmicrohttpd", debian: "libmicrohttpd-dev"),
        cLibrary("CProtobufC", pkgConfig: "libprotobuf-c", debian: "libprotobuf-c-dev"),
        cLibrary("CPCRE2", pkgConfig: "libpcre2-8", debian: "libpcre2-dev"),
        cLibrary("CCurl", pkgConfig: "libcurl", debian: "libcurl4-openssl-dev"),
        cLibrary("CSodium", pkgConfig: "libsodium", debian: "libsodium-dev"),
        cLibrary("CZlib", pkgConfig: "zlib", debian: "zlib1g-dev"),

        // C of our own: SIMD kernels, and what protoc-c makes from the records.
        // Kernels are optimised in debug builds too: without it the tests of a model take minutes.
        .target(
            name: "CKernels",
            path: "Shared/CKernels",
            // The fuzzer looks for what is read wrong, not at arithmetic; variants are chosen before a sanitizer is ready.
            cSettings: [.unsafeFlags(["-O3"] + (isFuzzing ? ["-fno-sanitize=all"] : []))]
        ),
        .target(name: "CMessages", dependencies: ["CProtobufC"], path: "Shared/CMessages"),

        // Shared, bottom up.
        shared("Identifiers", []),
        shared("ShownText", []),
        shared("JSON", ["Identifiers", "ShownText"], safe),
        shared("Executors", []),
        shared("Failpoints", []),
        shared(
            "Messages",
            ["JSON", "CMessages", "Digests", "Identifiers"],
            exclude: ["answer.proto", "event.proto", "question.proto", "timeline.proto", "user_embedding.proto"]
        ),
        shared("Streams", ["Messages"], safe),
        shared("Kafka", ["Streams", "Messages", "Executors", "Failpoints", "ShownText", "CRdkafka"]),
        shared("Postgres", ["Identifiers", "Streams", "Messages", "Executors", "Failpoints", "ShownText", "CLibpq"]),
        shared("HTTPServer", ["JSON", "CMicrohttpd", "Executors"]),
        shared("HTTPClient", ["CCurl"]),
        shared("ServiceRuntime", ["JSON", "HTTPServer", "Executors", "Failpoints", "ShownText"]),
        shared("StreamProcessing", ["Streams", "Messages", "ServiceRuntime"], safe),
        shared("UserTimelines", ["Identifiers", "StreamProcessing", "Streams", "Messages", "Failpoints"], safe),
        shared("MessageLogs", ["Streams", "Kafka", "Postgres", "ServiceRuntime", "ShownText"], safe),
        shared("SystemClient", ["Identifiers", "HTTPClient", "Messages"], safe),
        shared("Tensors", ["JSON", "CKernels", "COpenBLAS", "Executors"]),
        shared("RandomNumbers", [], safe),
        shared("NeuralNetwork", ["JSON", "Tensors", "RandomNumbers", "Executors"], safe),
        shared("Tokenization", ["Identifiers", "JSON", "CPCRE2"]),
        shared("Digests", ["CSodium"]),
        shared("InputFiles", ["CZlib"]),
        shared("Sorting", []),
        shared(
            "Datasets",
            ["Identifiers", "JSON", "Messages", "Digests", "InputFiles", "RandomNumbers", "ShownText"],
            safe
        ),
        shared(
            "UserModels",
            [
                "Identifiers", "NeuralNetwork", "Tensors", "Tokenization", "Datasets", "Messages", "Digests",
                "Executors", "JSON",
            ],
            safe
        ),

        // Services: one process each.
        service(
            "EventIngestor",
            [
                "Identifiers", "JSON",
                "HTTPServer", "StreamProcessing", "MessageLogs", "Streams", "Messages", "Datasets", "Digests",
                "Executors", "Failpoints", "InputFiles", "Sorting", "ShownText",
            ]
        ),
        service(
            "EncoderWorker",
            [
                "Identifiers",
                "UserTimelines", "StreamProcessing", "MessageLogs", "Streams", "Messages", "UserModels", "Executors",
                "Tensors", "Failpoints",
            ]
        ),
        service(
            "EmbeddingWriter",
            [
                "Identifiers", "StreamProcessing", "MessageLogs", "Streams", "Postgres", "Messages", "UserModels",
                "Failpoints",
            ]
        ),
        service(
            "LLMResponder",
            [
                "Identifiers",
                "StreamProcessing", "MessageLogs", "Streams", "Postgres", "Messages", "UserModels", "Executors",
                "Tensors",
            ]
        ),
        service(
            "Gateway",
            ["Identifiers", "JSON", "HTTPServer", "StreamProcessing", "MessageLogs", "Streams", "Messages"]
        ),
        service(
            "Trainer",
            [
                "Identifiers", "UserModels", "NeuralNetwork", "Tensors", "Tokenization", "Datasets", "InputFiles",
                "Messages", "Executors", "JSON", "ShownText",
            ]
        ),
        service(
            "Launcher",
            [
                "Identifiers",
                "SystemClient", "HTTPClient", "StreamProcessing", "MessageLogs", "Streams", "Postgres", "Messages",
                "Datasets", "UserModels", "Digests", "ShownText",
            ]
        ),

        // Tests.
        tests("JSONTests", ["JSON", "RandomNumbers"]),
        tests("ShownTextTests", ["ShownText"]),
        tests("TensorsTests", ["Tensors", "CKernels", "Executors"]),
        tests("IdentifiersTests", ["Identifiers"]),
        tests("RandomNumbersTests", ["RandomNumbers"]),
        tests("FailpointsTests", ["Failpoints"]),
        tests("NeuralNetworkTests", ["NeuralNetwork", "Tensors"]),
        tests("TokenizationTests", ["Identifiers", "Tokenization"]),
        tests("InputFilesTests", ["InputFiles"]),
        tests("SortingTests", ["Sorting", "RandomNumbers"]),
        tests("DatasetsTests", ["Identifiers", "Datasets", "Messages"]),
        .target(name: "TCPProxy", path: "Tests/TCPProxy", swiftSettings: strict),
        .target(
            name: "TestSupport",
            dependencies: [
                "Identifiers", "NeuralNetwork", "Tensors", "RandomNumbers", "Postgres", "Kafka", "Streams", "Messages",
                "ServiceRuntime", "Executors", "TCPProxy",
            ],
            path: "Tests/TestSupport",
            swiftSettings: strict
        ),
        tests(
            "UserModelsTests",
            [
                "Identifiers", "UserModels", "NeuralNetwork", "Tensors", "Tokenization", "Datasets", "Digests",
                "Messages",
            ]
        ),
        tests("DigestsTests", ["Digests"]),
        .target(
            name: "Verification",
            dependencies: [
                "Identifiers", "SystemClient", "HTTPClient", "ServiceRuntime", "StreamProcessing", "MessageLogs",
                "Streams", "Kafka",
                "Postgres", "Messages", "Datasets", "UserModels", "NeuralNetwork", "Tensors", "Tokenization",
                "RandomNumbers", "TCPProxy",
            ],
            path: "Tests/Verification",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "Verify",
            dependencies: ["Identifiers", "Verification", "ServiceRuntime", "Datasets", "UserModels"],
            path: "Tests/Verify",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "Identifiers", "JSON", "Verification", "UserTimelines", "ServiceRuntime", "HTTPClient",
                "StreamProcessing",
                "MessageLogs",
                "Streams", "Postgres", "Messages", "Datasets", "UserModels", "NeuralNetwork", "RandomNumbers",
                "Tensors",
                "Executors",
            ],
            path: "Tests/Benchmarks",
            exclude: ["compare-torch", "compare_torch_peer.py", "ingestion.lua", "KafkaAppendPeer"],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "KafkaAppendPeer",
            dependencies: ["CRdkafka"],
            path: "Tests/Benchmarks/KafkaAppendPeer"
        ),
        tests(
            "IntegrationTests",
            [
                "Identifiers",
                "Verification", "SystemClient", "HTTPClient", "ServiceRuntime", "StreamProcessing", "MessageLogs",
                "Streams", "Postgres", "Messages", "Datasets",
            ]
        ),
        tests("MessagesTests", ["Identifiers", "Messages", "JSON"]),
        tests("ServiceRuntimeTests", ["ServiceRuntime", "ShownText", "HTTPClient", "HTTPServer"]),
        tests("HTTPServerTests", ["HTTPServer", "HTTPClient"]),
        tests("HTTPClientTests", ["HTTPServer", "HTTPClient"]),
        tests("UserTimelinesTests", ["Identifiers", "UserTimelines", "Streams", "Messages"]),
        tests("StreamProcessingTests", ["Identifiers", "StreamProcessing", "ServiceRuntime", "Streams", "Messages"]),
        tests(
            "EncoderWorkerTests",
            [
                "Identifiers",
                "EncoderWorker", "Verification", "ServiceRuntime", "StreamProcessing", "Streams", "Postgres",
                "Messages", "Datasets", "UserModels", "UserTimelines",
            ]
        ),
        tests(
            "EmbeddingWriterTests",
            [
                "Identifiers",
                "EmbeddingWriter", "Verification", "ServiceRuntime", "StreamProcessing", "Streams", "Postgres",
                "Messages", "UserModels", "Datasets",
            ]
        ),
        tests(
            "LLMResponderTests",
            [
                "Identifiers",
                "LLMResponder", "Verification", "ServiceRuntime", "StreamProcessing", "Streams", "Postgres", "Messages",
                "Datasets", "UserModels",
            ]
        ),
        tests("LauncherTests", ["Identifiers", "Launcher", "ServiceRuntime", "Messages"]),
        tests(
            "EventIngestorTests",
            [
                "Identifiers", "JSON", "EventIngestor", "MessageLogs", "HTTPServer", "HTTPClient", "ServiceRuntime",
                "Streams", "Messages", "Datasets", "Digests", "RandomNumbers",
            ]
        ),
        tests(
            "GatewayTests",
            [
                "Identifiers", "Gateway", "MessageLogs", "HTTPServer", "HTTPClient", "ServiceRuntime", "Streams",
                "Messages",
            ]
        ),
        tests("KafkaTests", ["Identifiers", "Kafka", "CRdkafka", "Streams", "Executors", "Messages", "Verification"]),
        tests("PostgresTests", ["Identifiers", "Postgres", "Streams", "Messages"]),
        tests("StreamsTests", ["Streams", "Messages"]),
        tests(
            "TrainerTests",
            ["Identifiers", "Trainer", "UserModels", "NeuralNetwork", "Tensors", "Datasets", "ServiceRuntime"]
        ),
    ]
)

if isFuzzing {
    package.products = [.executable(name: "fuzz", targets: ["Fuzzing"])]
    package.targets =
        package.targets.filter { $0.type != .test } + [
            .systemLibrary(name: "CFuzzer", path: "Tests/Fuzzing/CFuzzer"),
            .executableTarget(
                name: "Fuzzing",
                dependencies: [
                    "CFuzzer",
                    "JSON",
                    "HTTPServer",
                    "UserModels",
                    "NeuralNetwork",
                    "Tensors",
                    "Tokenization",
                    "Datasets",
                    "Digests",
                    "Identifiers",
                    "Messages",
                    "Streams",
                    "UserTimelines",
                    "EventIngestor",
                    "Gateway",
                ],
                path: "Tests/Fuzzing",
                exclude: ["CFuzzer"],
                swiftSettings: strict
            ),
        ]
}
