import LanguageEngine
import Testing

/// What a sequence got.
struct Answer: Equatable {
    struct Passage: Equatable {
        var before: String
        var answer: RankedLeaf
    }

    var tokens: [Int32] = []
    var logProbabilities: [Float?] = []
    var text = ""
    /// The passages, each with the text before it.
    var passages: [Passage] = []
    var result: SequenceResult?

    /// Tokens and the bits of their logarithms: what may not depend on other sequences.
    var content: [String] {
        zip(tokens, logProbabilities).map { "\($0) \($1?.bitPattern ?? 0)" } + ["\(result?.reason as Any)"]
    }
}

extension Engine {
    /// Runs steps until nothing is left to do.
    ///
    /// - Parameters:
    ///   - limit: the most steps.
    ///   - onStep: called after each step with its number.
    /// - Returns: what every sequence got.
    /// - Throws: what a step or `onStep` throws.
    func runToEnd(limit: Int = 5_000, onStep: (Int) throws -> Void = { _ in }) throws -> [SequenceID: Answer] {
        var answers: [SequenceID: Answer] = [:]
        for number in 0..<limit {
            for event in try step() { answers[event.id, default: Answer()].add(event) }
            try onStep(number)
            if isIdle { return answers }
        }
        Issue.record("\(metrics.running) sequences still run after \(limit) steps")
        return answers
    }

    /// The answer to one request alone.
    func answer(_ request: SequenceRequest) throws -> Answer {
        let id = try submit(request)
        return try #require(try runToEnd()[id])
    }
}

extension Answer {
    mutating func add(_ event: SequenceEvent) {
        switch event {
        case .token(_, let token):
            tokens.append(token.token)
            logProbabilities.append(token.logProbability)
        case .text(_, let piece): text += piece
        case .passage(_, let answer): passages.append(Passage(before: text, answer: answer))
        case .finished(_, let result): self.result = result
        }
    }
}

extension SequenceRequest {
    /// A request with a few changes.
    init(_ tokens: [Int32], maximumTokens: Int = 12, _ change: (inout SequenceRequest) -> Void = { _ in }) {
        self.init(tokens: tokens)
        self.maximumTokens = maximumTokens
        logProbabilities = 0
        change(&self)
    }
}
