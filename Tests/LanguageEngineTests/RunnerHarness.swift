import Testing
@testable import LanguageEngine
import ModelFiles

/// Runs a model's passes without an engine, to look at logits.
final class RunnerHarness {
    let runner: ModelRunner
    private var pool: PagePool

    convenience init(
        _ model: TinyModel,
        format: WeightFormat = .float32,
        cache: CacheFormat = .float32,
        threads: Int = 2,
        pagePositions: Int = 16
    ) throws {
        try self.init(
            weights: model.weights(format),
            adapter: model.adapterWeights(),
            cache: cache,
            threads: threads,
            pagePositions: pagePositions
        )
    }

    init(
        weights: LanguageModelWeights,
        adapter: AdapterWeights?,
        cache: CacheFormat,
        threads: Int = 2,
        pagePositions: Int = 16
    ) throws {
        let shape = weights.configuration
        let storage = try PageStorage(
            format: cache,
            keyValueHeads: shape.keyValueHeads,
            headWidth: shape.headWidth,
            layers: shape.layers,
            positions: pagePositions,
            capacity: 128
        )
        pool = PagePool(capacity: 128, positions: pagePositions)
        runner = try ModelRunner(
            weights: weights,
            adapter: adapter,
            storage: storage,
            maximumRows: 256,
            maximumLength: shape.maximumLength,
            team: ThreadTeam(memberCount: threads)
        )
    }

    /// A text and what acts on it.
    struct Text {
        var tokens: [Int32]
        var context: [Float]?
        var contextStart = 0
        var softPrompt: [Float]?
    }

    /// Logits of every token of texts, each cut into pieces: the n-th pass reads the n-th piece of every text.
    func logits(_ texts: [Text], pieces: [[Int]]) throws -> [[[Float]]] {
        let width = runner.weights.configuration.width
        let prompts = texts.map { $0.softPrompt.map { SoftPrompt($0, width: width) } }
        let contexts = try texts.map { try $0.context.flatMap { try runner.prepare(context: $0) } }
        let tokens = zip(texts, prompts).map { [Int32](repeating: -1, count: $1?.count ?? 0) + $0.tokens }
        var tables = texts.map { _ in PageTable() }
        var results = texts.map { _ in [[Float]]() }
        for pass in 0..<(pieces.map(\.count).max() ?? 0) {
            var segments: [Segment] = []
            var owners: [Int] = []
            for index in texts.indices where pass < pieces[index].count {
                let (first, last) = (tables[index].length, tables[index].length + pieces[index][pass])
                #expect(tables[index].reserve(to: last, in: &pool) { runner.storage.copy($0, to: $1) })
                let start = (prompts[index]?.count ?? 0) + texts[index].contextStart
                let cut = contexts[index] == nil ? last : min(max(start, first), last)
                for range in [first..<cut, cut..<last] where !range.isEmpty {
                    segments.append(
                        Segment(
                            tokens: tokens[index][range],
                            softPrompt: prompts[index],
                            firstPosition: range.lowerBound,
                            pages: tables[index].pages,
                            context: range.lowerBound >= cut ? contexts[index] : nil,
                            logitCount: range.count
                        )
                    )
                    owners += [Int](repeating: index, count: range.count)
                }
                tables[index].commit(to: last, tokens: [], reach: .none, in: &pool)
            }
            try runner.run(segments) { row, logits in results[owners[row]].append(Array(logits)) }
        }
        for index in tables.indices { tables[index].release(to: &pool) }
        return zip(results, prompts).map { Array($0.dropFirst($1?.count ?? 0)) }
    }

    /// Logits of one text, read in pieces.
    func logits(_ text: Text, pieces: [Int]? = nil) throws -> [[Float]] {
        let soft = (text.softPrompt?.count ?? 0) / runner.weights.configuration.width
        return try logits([text], pieces: [pieces ?? [soft + text.tokens.count]])[0]
    }
}

/// The greatest difference between two tables of logits.
func difference(_ found: [[Float]], _ expected: [[Double]]) -> Double {
    guard found.map(\.count) == expected.map(\.count) else { return .infinity }
    return zip(found, expected).reduce(0) { worst, rows in
        zip(rows.0, rows.1).reduce(worst) { max($0, $1.0.isNaN ? .infinity : abs(Double($1.0) - $1.1)) }
    }
}

/// The bits of logits, to be compared without tolerance.
func bits(_ logits: [[Float]]) -> [[UInt32]] { logits.map { $0.map(\.bitPattern) } }
