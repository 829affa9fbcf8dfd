import Foundation
import LanguageEngine
import ModelFiles
import ServiceRuntime

/// `benchmarks language-model`: reading and writing text with a pretrained model, in turn with llama.cpp's `llama-bench`.
enum LanguageModelCommand {
    private static let modelKey = ConfigurationKey<String>(
        "model",
        help: "The GGUF file or Hugging Face folder that ours reads"
    )
    private static let weightsKey = ConfigurationKey<String>(
        "weights",
        default: "stored,int8,bfloat16",
        help: "How ours keeps the weights, separated by commas: stored, int8, bfloat16, float32"
    )
    private static let peerKey = ConfigurationKey<String>(
        "llama-bench",
        default: "",
        help: "llama.cpp's program, as Tests/Benchmarks/build-llama-cpp makes it; empty measures ours alone"
    )
    private static let peerModelsKey = ConfigurationKey<String>(
        "llama-models",
        default: "",
        help: "The same model in llama.cpp's formats: GGUF files, separated by commas"
    )
    private static let threadsKey = ConfigurationKey<Int>(
        "threads",
        default: ProcessInfo.processInfo.activeProcessorCount,
        in: 1...256,
        help: "Threads of each"
    )
    private static let roundsKey = ConfigurationKey<Int>("rounds", default: 3, in: 1...1_000, help: "Rounds of each")
    private static let cacheKey = ConfigurationKey<ConfigurationChoice<CacheFormat>>(
        "cache-format",
        default: ConfigurationChoice(.bfloat16),
        help: "How ours keeps keys and values"
    )

    private static let promptLengths = [32, 512, 2_048]
    private static let sequenceCounts = [1, 8, 32]
    private static let answerLength = 64

    /// The command as the program lists it.
    static let command = Command(
        "language-model",
        summary: "Reads prompts and writes answers with a pretrained model, beside llama.cpp",
        keys: [
            modelKey, weightsKey, cacheKey, peerKey, peerModelsKey, threadsKey, roundsKey, BenchmarkTable.jsonKey,
        ]
    ) { context in
        let reader = context.configuration
        let path = try reader.value(of: modelKey)
        let threads = try reader.value(of: threadsKey)
        let rounds = try reader.value(of: roundsKey)
        let source = try LanguageModelSource.open(path)
        let peer = try reader.value(of: peerKey)
        let peerModels = list(try reader.value(of: peerModelsKey))
        guard peerModels.isEmpty || !peer.isEmpty else {
            throw ConfigurationError.usage("llama-models is given without llama-bench, the program that measures them")
        }
        let formats = try list(try reader.value(of: weightsKey)).map { name in
            guard let format = WeightFormat(rawValue: name) else {
                let all = WeightFormat.allCases.map(\.rawValue).joined(separator: ", ")
                throw ConfigurationError.usage("weights: \"\(name)\" is not allowed: expected some of \(all)")
            }
            return format
        }
        var ours: [String: [String: [Double]]] = [:]
        var theirs: [String: [String: [Double]]] = [:]
        for _ in 0..<rounds {
            for format in formats {
                let found = try measure(source, format, try reader.value(of: cacheKey).choice, threads: threads)
                for (what, rate) in found { ours[format.rawValue, default: [:]][what, default: []].append(rate) }
            }
            for model in peerModels {
                let found = try LlamaBench(program: peer, model: model, threads: threads)
                    .rates(promptLengths: promptLengths, answerLength: answerLength)
                for (what, rate) in found { theirs[model, default: [:]][what, default: []].append(rate) }
            }
        }
        var table = BenchmarkTable(
            benchmark: "language-model",
            settings: [
                "rounds": "\(rounds)", "threads": "\(threads)", "positions": "\(source.configuration.maximumLength)",
            ]
        )
        for format in formats {
            for (what, rates) in (ours[format.rawValue] ?? [:]).sorted(by: { order($0.key) < order($1.key) }) {
                let others = theirs.compactMap { model, rates in
                    rates[what].map { (name: URL(filePath: model).lastPathComponent, value: median($0)) }
                }
                let best = others.max { $0.value < $1.value }
                table.rows.append(
                    .init("\(format.rawValue): \(what)", median(rates), unit(what), against: best)
                )
            }
        }
        for (model, measured) in theirs.sorted(by: { $0.key < $1.key }) {
            for (what, rates) in measured.sorted(by: { order($0.key) < order($1.key) }) {
                let name = URL(filePath: model).lastPathComponent
                table.rows.append(.init("\(name): \(what)", median(rates), unit(what)))
            }
        }
        try table.show(reader)
    }

    private static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    private static func order(_ what: String) -> String {
        // Numbers in names sort by their value.
        what.split(separator: " ").map { Int($0).map { String(format: "%08d", $0) } ?? String($0) }.joined(
            separator: " "
        )
    }

    private static func unit(_ what: String) -> String {
        what.hasPrefix("load") ? "s" : what.hasPrefix("row") ? "times" : "tokens/s"
    }

    // MARK: - Ours

    /// Rates of one format, by what was done; the names are those of `LlamaBench`.
    private static func measure(
        _ source: LanguageModelSource,
        _ format: WeightFormat,
        _ cache: CacheFormat,
        threads: Int
    ) throws -> [String: Double] {
        var rates: [String: Double] = [:]
        let start = ContinuousClock.now
        let weights = try LanguageModelWeights(source, format: format, threads: threads)
        rates["load"] = (ContinuousClock.now - start) / .seconds(1)
        var configuration = EngineConfiguration()
        configuration.threads = threads
        configuration.cacheFormat = cache
        configuration.pageCount = 32 * 512 / configuration.pagePositions + 64
        let engine = try Engine(weights: weights, configuration: configuration)
        // Prompts of random tokens: none begins like an earlier one, so nothing is found in the prefix cache.
        func prompt(_ count: Int) -> [Int32] {
            (0..<count).map { _ in Int32.random(in: 0..<Int32(source.configuration.vocabularySize)) }
        }
        // The first pass also touches every weight for the first time.
        _ = try run(engine, prompts: [prompt(64)], answers: 4)
        for length in promptLengths where length < engine.maximumLength {
            let times = try run(engine, prompts: [prompt(length)], answers: 1)
            rates["prompt \(length)"] = Double(length) / times.reading
        }
        for count in sequenceCounts {
            let times = try run(engine, prompts: (0..<count).map { _ in prompt(32) }, answers: answerLength)
            rates["answer \(answerLength) sequences \(count)"] = Double(times.tokenCount) / times.writing
        }
        for (name, adapter) in adapters(of: source.configuration) {
            let weights = try AdapterWeights(configuration: adapter, format: format) { drawn($0, of: adapter) }
            let reader = try Engine(
                weights: try LanguageModelWeights(source, format: format, threads: threads),
                adapter: weights,
                configuration: configuration
            )
            let row = (0..<16 * adapter.width).map { _ in Float.random(in: -1...1) }
            _ = try run(reader, prompts: [prompt(64)], answers: 4, row: row)
            // In turn, since a few percent are less than what a machine's speed changes by in a minute.
            var ratios: [Double] = []
            for _ in 0..<5 {
                let without = try run(engine, prompts: [prompt(32)], answers: answerLength)
                let with = try run(reader, prompts: [prompt(32)], answers: answerLength, row: row)
                ratios.append(without.writing / with.writing)
            }
            rates["row in \(name) : without"] = median(ratios)
        }
        return rates
    }

    /// Cross-attention over 16 latents: in the upper third, 256 wide; and before every block, as wide as the model.
    private static func adapters(
        of model: LanguageModelConfiguration
    ) -> [(name: String, shape: AdapterWeights.Configuration)] {
        [
            (
                "upper third",
                .init(
                    width: model.width,
                    layers: model.layers,
                    first: model.layers * 2 / 3,
                    heads: 4,
                    innerWidth: min(256, model.width)
                )
            ),
            ("every block", .init(width: model.width, layers: model.layers, heads: 4)),
        ]
    }

    /// Random weights with open gates.
    private static func drawn(_ name: String, of shape: AdapterWeights.Configuration) -> [Float] {
        let isScalar = name.hasSuffix(".gate")
        let count = isScalar ? 1 : name.contains(".norm.") ? shape.width : shape.width * shape.innerWidth
        return (0..<count).map { _ in isScalar ? 0.1 : Float.random(in: -0.05...0.05) }
    }

    private struct Times {
        /// Seconds until the last prompt was read.
        var reading = 0.0
        /// Seconds from then on.
        var writing = 0.0
        /// Tokens that came from then on.
        var tokenCount = 0
    }

    private static func run(
        _ engine: Engine,
        prompts: [[Int32]],
        answers: Int,
        row: [Float]? = nil
    ) throws -> Times {
        var times = Times()
        for tokens in prompts {
            var request = SequenceRequest(tokens: tokens)
            request.maximumTokens = answers
            request.context = row
            _ = try engine.submit(request)
        }
        let start = ContinuousClock.now
        var begun: Set<SequenceID> = []
        while !engine.isIdle {
            let isReading = begun.count < prompts.count
            for event in try engine.step() {
                guard case .token(let id, _) = event else { continue }
                begun.insert(id)
                if !isReading { times.tokenCount += 1 }
            }
            if isReading { times.reading = (ContinuousClock.now - start) / .seconds(1) }
        }
        times.writing = (ContinuousClock.now - start) / .seconds(1) - times.reading
        return times
    }
}

/// llama.cpp's own benchmark, run as a process.
private struct LlamaBench {
    let program: String
    let model: String
    let threads: Int

    private struct Result: Decodable {
        let nPrompt: Int
        let nGen: Int
        let avgTs: Double
    }

    /// The better rate of each test, without and with flash attention.
    func rates(promptLengths: [Int], answerLength: Int) throws -> [String: Double] {
        var rates: [String: Double] = [:]
        for result in try run(promptLengths, answerLength) {
            let name = result.nGen > 0 ? "answer \(answerLength) sequences 1" : "prompt \(result.nPrompt)"
            rates[name] = max(rates[name] ?? 0, result.avgTs)
        }
        return rates
    }

    private func run(_ promptLengths: [Int], _ answerLength: Int) throws -> [Result] {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = [
            "-m", model, "-t", "\(threads)", "-p", promptLengths.map { "\($0)" }.joined(separator: ","),
            "-n", "\(answerLength)", "-fa", "0,1", "-r", "1", "-o", "json",
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw ProcessFailure("\(program) -m \(model) ended with code \(process.terminationStatus)")
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode([Result].self, from: data)
    }
}
