import LanguageEngine
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tokenization
import UserModels

/// Runs single answers on the engine that serves, and takes their times.
///
/// The adapter has the bundle's shape, random weights and open gates, and so have the encoders, one for each length of
/// timeline: what they cost does not depend on what they have learnt, and no encoder is trained at all lengths.
final class EfficiencyRunner {
    /// When an answer's tokens came, in seconds from the beginning of its work.
    struct Times {
        private(set) var tokens: [Double] = []
        fileprivate(set) var cachedTokens = 0

        fileprivate mutating func add(_ seconds: Double) { tokens.append(seconds) }

        /// When the first token was there.
        var first: Double { tokens.first ?? 0 }
        /// When so many tokens were there.
        func end(of count: Int) -> Double { tokens[count - 1] }
    }

    /// Gates of the adapter: any number that is not 0, for closed gates cost nothing.
    private static let gateOpening: Float = 0.5
    /// Tokens of the longest answer.
    static let answerTokens = 64

    /// The shapes, with the encoder's length still the bundle's.
    let shape: UserLanguageModel.Configuration
    private let bundle: ModelBundle
    private let settings: EfficiencySettings
    private let engine: Engine
    private let adapter: UserAdapter
    private let vocabularySize: Int
    private let shutdown: Shutdown
    private var nextMark = 0

    /// Packs the language model and makes an adapter.
    ///
    /// - Parameters:
    ///   - bundle: the language model, and the shapes of encoder and adapter.
    ///   - settings: how it is measured.
    ///   - shutdown: stops an answer early.
    /// - Throws: as `LanguageModelWeights` and `Engine`.
    init(_ bundle: ModelBundle, _ settings: EfficiencySettings, until shutdown: Shutdown) throws {
        self.bundle = bundle
        self.shutdown = shutdown
        self.settings = settings
        var shape = bundle.configuration
        shape.adapter.gateOpening = Self.gateOpening
        self.shape = shape
        vocabularySize = bundle.tokenizer.vocabularySize
        var random = SeededRandom(seed: settings.seed)
        adapter = try UserAdapter(configuration: shape.adapter, using: &random)
        let configuration = Self.engineConfiguration(settings, positions: shape.languageModel.maximumLength)
        engine = try Engine(
            weights: LanguageModelWeights(bundle.languageModel, format: settings.weights, threads: settings.threads),
            adapter: adapter.weights(),
            configuration: configuration
        )
    }

    /// Room for two texts of full length: one that is read, and one whose keys and values are still known.
    private static func engineConfiguration(_ settings: EfficiencySettings, positions: Int) -> EngineConfiguration {
        var configuration = EngineConfiguration()
        configuration.threads = settings.threads
        configuration.cacheFormat = settings.cacheFormat
        configuration.pageCount = 2 * (positions / configuration.pagePositions + 1) + 64
        return configuration
    }

    /// One more than the last position of a text, its answer included.
    var context: Int { engine.maximumLength }
    /// Positions of a page of keys and values.
    var pagePositions: Int { engine.configuration.pagePositions }

    /// Whether the question's keys and values are the same for all users.
    var sharesQuestions: Bool { shape.adapter.kind == .crossAttention && shape.adapter.contextFrom != .firstToken }

    /// How many of the first tokens of a text are in full pages before its last token, which is always read.
    func known(_ tokens: Int) -> Int { max(tokens - 1, 0) / pagePositions * pagePositions }

    /// Bytes of the keys and values of a text.
    func cacheByteCount(positions: Int, _ format: CacheFormat) -> Int {
        var configuration = engine.configuration
        configuration.cacheFormat = format
        let pages = (positions + pagePositions - 1) / pagePositions
        return pages * configuration.pageByteCount(for: shape.languageModel)
    }

    /// Bytes of a row: the context and the pooled vector, in Float32.
    var rowByteCount: Int { (bundle.contextRows + 1) * bundle.contextColumns * MemoryLayout<Float>.stride }

    /// An encoder of the bundle's shape that reads so many events.
    ///
    /// - Throws: `ModelConfigurationError` for a length that is out of range.
    func encoder(length: Int) throws -> EncodingEngine {
        var configuration = shape.encoder
        configuration.length = length
        var random = SeededRandom(seed: settings.seed)
        return EncodingEngine(
            encoder: try AutoregressiveEncoder(configuration: configuration, using: &random),
            perceiver: adapter.perceiver,
            features: bundle.features,
            threads: settings.threads
        )
    }

    // MARK: - Answers

    /// The same tokens with another one at a place, never the same twice: nothing from there on is known.
    func marked(_ tokens: [Int32], at place: Int = 0) -> [Int32] {
        var result = tokens
        guard place < tokens.count else { return result }
        let mark = Int32(nextMark % vocabularySize)
        nextMark += 1
        if mark == tokens[place] { return marked(tokens, at: place) }
        result[place] = mark
        return result
    }

    /// Continues a text.
    ///
    /// - Parameters:
    ///   - prompt: its tokens.
    ///   - count: the tokens of the answer; none of them ends it.
    /// - Returns: when they came.
    /// - Throws: `ProcessFailure` for an answer that could not be computed.
    func answer(_ prompt: [Int32], tokens count: Int) throws -> Times {
        try run(SequenceRequest(tokens: prompt), tokens: count, since: .now)
    }

    /// Answers a question about a user whose row there is.
    func answer(_ question: [Int32], row: [Float], tokens count: Int) throws -> Times {
        let start = ContinuousClock.now
        return try run(request(question, row), tokens: count, since: start)
    }

    /// Encodes a timeline, and answers a question about it.
    func answer(_ question: [Int32], by encoder: EncodingEngine, _ subject: EfficiencySubject, tokens count: Int) throws
        -> Times
    {
        let start = ContinuousClock.now
        let row = encoder.encode([subject.timeline])[0].context
        return try run(request(question, row), tokens: count, since: start)
    }

    private func request(_ question: [Int32], _ row: [Float]) -> SequenceRequest {
        var request = SequenceRequest(tokens: question)
        let rows = adapter.projected(row)
        switch shape.adapter.kind {
        case .crossAttention:
            request.context = rows
            request.contextStart = adapter.start(promptLength: question.count)
        case .softPrompt: request.softPrompt = rows
        }
        return request
    }

    private func run(
        _ request: SequenceRequest,
        tokens count: Int,
        since start: ContinuousClock.Instant
    ) throws -> Times {
        var request = request
        request.maximumTokens = count
        _ = try engine.submit(request)
        var times = Times()
        while !engine.isIdle {
            if shutdown.isRequested {
                throw ProcessFailure("interrupted while it was measured", exitCode: .interrupted)
            }
            for event in try engine.step() {
                switch event {
                case .token: times.add((ContinuousClock.now - start).inSeconds)
                case .text, .passage: break
                case .finished(_, let result):
                    guard result.reason == .length else {
                        throw ProcessFailure("an answer of \(count) tokens ended otherwise: \(result.reason)")
                    }
                    times.cachedTokens = result.cachedTokens
                }
            }
        }
        return times
    }
}
