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
    .systemLibrary(name: name, path: "Shared/CLibraries/\(name)", pkgConfig: pkgConfig, providers: [.apt([debian])])
}

/// What services share, in layers: a folder each, of which one imports only those that stand above it here.
enum Layer: String {
    case foundations = "Foundations"
    case runtime = "Runtime"
    case log = "Log"
    case domain = "Domain"
    case numerics = "Numerics"
    case language = "Language"
    case models = "Models"
}

func shared(
    _ layer: Layer,
    _ name: String,
    _ dependencies: [Target.Dependency],
    _ settings: [SwiftSetting] = strict,
    exclude: [String] = []
) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: "Shared/\(layer.rawValue)/\(name)",
        exclude: exclude,
        swiftSettings: settings
    )
}

/// Arithmetic in C, optimised in debug builds too: without it the tests of a model take minutes.
func kernels(_ layer: Layer, _ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: "Shared/\(layer.rawValue)/\(name)",
        // The fuzzer looks for what is read wrong, not at arithmetic; variants are chosen before a sanitizer is ready.
        cSettings: [.unsafeFlags(["-O3"] + (isFuzzing ? ["-fno-sanitize=all"] : []))]
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
    let renamed = ["-parse-as-library", "-Xfrontend", "-entry-point-function-name", "-Xfrontend", "\(name)_main"]
    let settings = safe + [.unsafeFlags(renamed)]
    return .target(name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: strict)
}

/// What several tests share.
func testing(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: strict)
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

        // Foundations: knows nothing of this product.
        shared(.foundations, "Concurrency", []),
        shared(.foundations, "RandomNumbers", [], safe),
        shared(.foundations, "Failpoints", []),
        shared(.foundations, "Bytes", ["CSodium"]),
        shared(.foundations, "JSON", ["Bytes"], safe),
        shared(.foundations, "Files", ["CZlib"]),

        // Runtime: what a process needs.
        shared(.runtime, "HTTPServer", ["Bytes", "JSON", "CMicrohttpd", "Concurrency"]),
        shared(.runtime, "HTTPClient", ["CCurl"]),
        shared(.runtime, "PostgresClient", ["Bytes", "Concurrency", "Failpoints", "CLibpq"]),
        shared(.runtime, "ServiceRuntime", ["Bytes", "JSON", "HTTPServer", "Concurrency", "Failpoints"]),

        // Log: records of bytes in topics, over Kafka or PostgreSQL.
        shared(.log, "MessageLogs", ["Failpoints"], safe),
        shared(.log, "KafkaLogs", ["Bytes", "MessageLogs", "Concurrency", "Failpoints", "CRdkafka"]),
        shared(.log, "PostgresLogs", ["MessageLogs", "PostgresClient", "Concurrency", "Failpoints"]),
        shared(
            .log,
            "LogAddresses",
            ["Bytes", "MessageLogs", "KafkaLogs", "PostgresLogs", "PostgresClient", "ServiceRuntime"],
            safe
        ),

        // Domain: our records and topics, a user's timeline and row. protoc-c makes C from the records.
        .target(name: "CMessages", dependencies: ["CProtobufC"], path: "Shared/Domain/CMessages"),
        shared(
            .domain,
            "Messages",
            ["Bytes", "JSON", "MessageLogs", "CMessages"],
            exclude: [
                "Wire/answer.proto", "Wire/event.proto", "Wire/question.proto", "Wire/timeline.proto",
                "Wire/user_embedding.proto",
            ]
        ),
        shared(.domain, "Catalogues", ["Bytes", "JSON", "Messages"], safe),
        shared(.domain, "UserTimelines", ["Bytes", "MessageLogs", "Messages", "Failpoints"], safe),
        shared(
            .domain,
            "EmbeddingStore",
            ["Bytes", "PostgresClient", "MessageLogs", "Messages", "Concurrency", "Failpoints"]
        ),
        shared(.domain, "Flows", ["Concurrency", "MessageLogs", "Messages", "ServiceRuntime"], safe),
        shared(.domain, "SystemClient", ["Bytes", "HTTPClient", "Messages"], safe),

        // Numerics.
        kernels(.numerics, "CKernels"),
        shared(.numerics, "Tensors", ["JSON", "CKernels", "COpenBLAS"]),
        shared(.numerics, "NeuralNetwork", ["JSON", "Tensors", "RandomNumbers", "Concurrency"], safe),

        // Language.
        shared(.language, "Tokenization", ["JSON", "CPCRE2"]),
        shared(.language, "ChatTemplates", ["Bytes", "JSON", "Tokenization"], safe),
        kernels(.language, "CModelFiles", ["CKernels"]),
        shared(.language, "ModelFiles", ["Bytes", "JSON", "Tensors", "CModelFiles"]),
        kernels(.language, "CLanguageKernels"),
        shared(
            .language,
            "LanguageEngine",
            ["Bytes", "RandomNumbers", "Tokenization", "ModelFiles", "CLanguageKernels"]
        ),

        // Models.
        shared(.models, "Datasets", ["Bytes", "JSON", "Messages", "Catalogues", "Files", "RandomNumbers"], safe),
        shared(
            .models,
            "UserModels",
            [
                "Bytes", "JSON", "Concurrency", "NeuralNetwork", "Tensors", "Tokenization", "ChatTemplates",
                "ModelFiles", "LanguageEngine", "Catalogues", "Messages",
            ],
            safe
        ),

        // Services: one process each.
        service(
            "EventIngestor",
            [
                "Concurrency", "Failpoints", "Bytes", "JSON", "Files", "HTTPServer", "MessageLogs", "LogAddresses",
                "Messages", "Flows", "Datasets",
            ]
        ),
        service(
            "EncoderWorker",
            [
                "Concurrency", "Failpoints", "Bytes", "MessageLogs", "LogAddresses", "Messages", "Catalogues",
                "UserTimelines", "Flows", "Tensors", "UserModels",
            ]
        ),
        service(
            "EmbeddingWriter",
            [
                "Concurrency", "Failpoints", "Bytes", "PostgresClient", "MessageLogs", "LogAddresses", "Messages",
                "EmbeddingStore", "Flows", "UserModels",
            ]
        ),
        service(
            "LLMResponder",
            [
                "Concurrency", "Bytes", "PostgresClient", "MessageLogs", "LogAddresses", "Messages", "EmbeddingStore",
                "Flows", "Tensors", "ModelFiles", "LanguageEngine", "UserModels",
            ]
        ),
        service(
            "Gateway",
            ["Concurrency", "Bytes", "JSON", "HTTPServer", "MessageLogs", "LogAddresses", "Messages", "Flows"]
        ),
        service(
            "Trainer",
            [
                "Concurrency", "Failpoints", "Bytes", "JSON", "Files", "Messages", "Catalogues", "Tensors",
                "NeuralNetwork", "Tokenization", "ModelFiles", "LanguageEngine", "Datasets", "UserModels",
            ]
        ),
        service(
            "Launcher",
            [
                "Concurrency", "Bytes", "HTTPClient", "PostgresClient", "MessageLogs", "LogAddresses", "Messages",
                "EmbeddingStore", "Flows", "SystemClient", "Catalogues", "LanguageEngine", "Datasets", "UserModels",
            ]
        ),

        // Tests.
        testing("TCPProxy", []),
        testing(
            "TestSupport",
            [
                "TCPProxy", "Concurrency", "RandomNumbers", "ServiceRuntime", "MessageLogs", "KafkaLogs",
                "PostgresLogs", "Tensors", "NeuralNetwork",
            ]
        ),
        testing(
            "Verification",
            [
                "TCPProxy", "RandomNumbers", "Bytes", "HTTPClient", "PostgresClient", "ServiceRuntime", "MessageLogs",
                "KafkaLogs", "LogAddresses", "Messages", "Catalogues", "EmbeddingStore", "Flows", "SystemClient",
                "Tensors", "NeuralNetwork", "Tokenization", "ModelFiles", "Datasets", "UserModels",
            ]
        ),
        .executableTarget(
            name: "Verify",
            dependencies: [
                "Verification", "Bytes", "ServiceRuntime", "Messages", "Catalogues", "Datasets", "UserModels",
            ],
            path: "Tests/Verify",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "Verification", "Concurrency", "RandomNumbers", "Bytes", "JSON", "HTTPClient", "PostgresClient",
                "ServiceRuntime", "MessageLogs", "LogAddresses", "Messages", "UserTimelines", "EmbeddingStore", "Flows",
                "Tensors", "NeuralNetwork", "ModelFiles", "LanguageEngine", "Datasets", "UserModels",
            ],
            path: "Tests/Benchmarks",
            exclude: [
                "README.md", "build-llama-cpp", "compare-torch", "compare_torch_peer.py", "ingestion.lua",
                "language_model_peer.py", "KafkaAppendPeer",
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "KafkaAppendPeer",
            dependencies: ["CRdkafka"],
            path: "Tests/Benchmarks/KafkaAppendPeer"
        ),
        tests("BytesTests", ["Bytes"]),
        tests("ConcurrencyTests", ["Concurrency"]),
        tests("ChatTemplatesTests", ["Tokenization", "ChatTemplates"]),
        tests("CataloguesTests", ["Bytes", "Messages", "Catalogues"]),
        tests("DatasetsTests", ["TestSupport", "Bytes", "Messages", "Catalogues", "Datasets"]),
        tests(
            "EmbeddingStoreTests",
            ["TestSupport", "Bytes", "PostgresClient", "MessageLogs", "Messages", "EmbeddingStore"]
        ),
        tests(
            "EmbeddingWriterTests",
            [
                "EmbeddingWriter", "TestSupport", "Verification", "Bytes", "PostgresClient", "ServiceRuntime",
                "MessageLogs", "PostgresLogs", "Messages", "EmbeddingStore", "Flows", "UserModels",
            ]
        ),
        tests(
            "EncoderWorkerTests",
            [
                "EncoderWorker", "TestSupport", "Verification", "Bytes", "PostgresClient", "ServiceRuntime",
                "MessageLogs", "PostgresLogs", "Messages", "Catalogues", "UserTimelines", "Flows", "Datasets",
                "UserModels",
            ]
        ),
        tests(
            "EventIngestorTests",
            [
                "EventIngestor", "TestSupport", "RandomNumbers", "Bytes", "JSON", "HTTPServer", "HTTPClient",
                "ServiceRuntime", "MessageLogs", "LogAddresses", "Messages", "Flows", "Datasets",
            ]
        ),
        tests("FailpointsTests", ["Failpoints"]),
        tests("FilesTests", ["RandomNumbers", "Files"]),
        tests("FlowsTests", ["TestSupport", "Bytes", "ServiceRuntime", "MessageLogs", "Messages", "Flows"]),
        tests(
            "GatewayTests",
            [
                "Gateway", "TestSupport", "Bytes", "HTTPServer", "HTTPClient", "ServiceRuntime", "MessageLogs",
                "LogAddresses", "Messages",
            ]
        ),
        tests("HTTPClientTests", ["HTTPServer", "HTTPClient"]),
        tests("HTTPServerTests", ["TestSupport", "Bytes", "HTTPServer", "HTTPClient"]),
        tests(
            "IntegrationTests",
            [
                "TestSupport", "Verification", "Bytes", "HTTPClient", "PostgresClient", "ServiceRuntime", "MessageLogs",
                "LogAddresses", "Messages", "Catalogues", "EmbeddingStore", "Flows", "SystemClient", "Datasets",
                "UserModels",
            ]
        ),
        tests("JSONTests", ["TestSupport", "RandomNumbers", "JSON"]),
        tests(
            "KafkaLogsTests",
            ["TestSupport", "Verification", "Concurrency", "Bytes", "MessageLogs", "KafkaLogs", "Messages", "CRdkafka"]
        ),
        tests(
            "LLMResponderTests",
            [
                "LLMResponder", "TestSupport", "Verification", "Bytes", "PostgresClient", "ServiceRuntime",
                "LanguageEngine", "Catalogues", "MessageLogs", "PostgresLogs", "Messages", "EmbeddingStore", "Flows",
                "Datasets", "UserModels",
            ]
        ),
        tests(
            "LanguageEngineTests",
            [
                "TestSupport", "RandomNumbers", "JSON", "Tensors", "Tokenization", "ModelFiles", "LanguageEngine",
                "UserModels",
            ]
        ),
        tests("LanguageKernelsTests", ["CLanguageKernels"]),
        tests("LauncherTests", ["Launcher", "Bytes", "ServiceRuntime", "Messages"]),
        tests("MessageLogsTests", ["MessageLogs", "Messages"]),
        tests("MessagesTests", ["TestSupport", "Bytes", "JSON", "Messages"]),
        tests("ModelFilesTests", ["TestSupport", "RandomNumbers", "Bytes", "JSON", "Tensors", "ModelFiles"]),
        tests("NeuralNetworkTests", ["TestSupport", "Tensors", "NeuralNetwork"]),
        tests(
            "PostgresLogsTests",
            ["TestSupport", "Bytes", "PostgresClient", "MessageLogs", "PostgresLogs", "Messages", "EmbeddingStore"]
        ),
        tests("RandomNumbersTests", ["RandomNumbers"]),
        tests("ServiceRuntimeTests", ["TestSupport", "HTTPServer", "HTTPClient", "ServiceRuntime"]),
        tests("TensorsTests", ["TestSupport", "Concurrency", "Tensors", "CKernels"]),
        tests("TokenizationTests", ["TestSupport", "Tokenization"]),
        tests(
            "TrainerTests",
            [
                "Trainer", "Bytes", "ServiceRuntime", "Messages", "Catalogues", "Tokenization", "ModelFiles", "Tensors",
                "NeuralNetwork", "Datasets", "UserModels",
            ]
        ),
        tests(
            "UserModelsTests",
            [
                "TestSupport", "Bytes", "Messages", "Catalogues", "Tensors", "NeuralNetwork", "Tokenization",
                "ModelFiles", "LanguageEngine", "Datasets", "UserModels",
            ]
        ),
        tests("UserTimelinesTests", ["TestSupport", "Bytes", "MessageLogs", "Messages", "UserTimelines", "Flows"]),
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
                    "CFuzzer", "EventIngestor", "Gateway", "Bytes", "JSON", "HTTPServer", "MessageLogs", "Messages",
                    "UserTimelines", "Catalogues", "Tensors", "NeuralNetwork", "Tokenization", "ModelFiles",
                    "ChatTemplates", "LanguageEngine", "Datasets", "UserModels",
                ],
                path: "Tests/Fuzzing",
                exclude: ["CFuzzer"],
                swiftSettings: strict
            ),
        ]
}
