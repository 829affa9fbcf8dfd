import ModelFiles

extension Engine {
    /// The most stop strings of a request, and the most bytes of one.
    private static let (stopStringLimit, stopStringByteLimit) = (16, 256)
    /// The most of the likeliest tokens that are reported.
    private static let likeliestLimit = 64
    /// The most rows of a context.
    private static let contextRowLimit = 4096

    /// Checks a request against the model and the bounds.
    func validate(_ request: SequenceRequest) throws(EngineError) {
        let shape = runner.weights.configuration
        let V = shape.vocabularySize
        try check("tokens", "empty", !request.tokens.isEmpty, "at least one token")
        let length = request.tokens.count
        try check("tokens", "\(length) tokens", length <= maximumLength, "at most \(maximumLength)")
        for token in request.tokens { try check("tokens", token, token >= 0 && Int(token) < V, "tokens below \(V)") }
        try request.sampling.validate(vocabulary: V)
        try validateStops(request, vocabulary: V)
        if let count = request.logProbabilities {
            let isCount = (0...min(Self.likeliestLimit, V)).contains(count)
            try check("logprobs", count, isCount, "from 0 to \(min(Self.likeliestLimit, V))")
        }
        try validatePassages(request, vocabulary: V)
        let soft = try validateContexts(request, shape)
        try validateRoom(request, promptLength: soft + length)
    }

    private func validateStops(_ request: SequenceRequest, vocabulary: Int) throws(EngineError) {
        try check("stop_token_ids", request.stopTokens.count, request.stopTokens.count <= vocabulary, "tokens")
        let count = request.stopStrings.count
        try check("stop", "\(count) texts", count <= Self.stopStringLimit, "at most \(Self.stopStringLimit)")
        try check("stop", "\(count) texts", count == 0 || tokenizer != nil, "none for a model without a tokenizer")
        for text in request.stopStrings {
            let isText = (1...Self.stopStringByteLimit).contains(text.utf8.count)
            try check("stop", "a text of \(text.utf8.count) bytes", isText, "from 1 to \(Self.stopStringByteLimit)")
        }
    }

    private func validatePassages(_ request: SequenceRequest, vocabulary: Int) throws(EngineError) {
        guard let passages = request.passages else { return }
        try check("passages", "given", tokenizer != nil, "none for a model without a tokenizer")
        try check("passages", "given", request.tree == nil, "none for a text that is held to a tree as a whole")
        let tree = passages.tree
        let limit = max(tree.tokenLimit, 1 + Int(passages.marks.closingTokens.max() ?? 0), 1 + Int(passages.end))
        try check("passages", "of tokens below \(limit)", limit <= vocabulary, "tokens below \(vocabulary)")
        let closing = passages.marks.closing
        let isWritable = !passages.marks.closingTokens.isEmpty
        try check("passages", "closed by \(closing)", isWritable, "a mark that the tokenizer has tokens for")
        try check("passages", "empty", !tree.children(of: tree.root).isEmpty, "at least one answer in their tree")
    }

    /// Gives the number of the soft prompt's rows.
    private func validateContexts(
        _ request: SequenceRequest,
        _ shape: LanguageModelConfiguration
    ) throws(EngineError) -> Int {
        let (D, limit) = (shape.width, Self.contextRowLimit)
        func rows(_ field: String, _ values: [Float]) throws(EngineError) -> Int {
            let isWhole = !values.isEmpty && values.count % D == 0 && values.count / D <= limit
            try check(field, "\(values.count) numbers", isWhole, "1 to \(limit) rows of \(D)")
            return values.count / D
        }
        if let context = request.context {
            try check("context", "given", runner.adapter != nil, "none: this model has no cross-attention")
            _ = try rows("context", context)
        }
        try check("contextStart", request.contextStart, request.contextStart >= 0, "at least 0")
        guard let soft = request.softPrompt else { return 0 }
        return try rows("softPrompt", soft)
    }

    /// Checks that the request could be served if it were alone.
    private func validateRoom(_ request: SequenceRequest, promptLength: Int) throws(EngineError) {
        guard let tree = request.tree else {
            let room = maximumLength - promptLength
            let count = request.maximumTokens
            try check("tokens", "\(promptLength) positions", room > 0, "at most \(maximumLength - 1)")
            try check("max_tokens", count, (1...room).contains(count), "from 1 to \(room) after this prompt")
            return
        }
        let V = runner.weights.configuration.vocabularySize
        try check("tree", "of tokens below \(tree.tokenLimit)", tree.tokenLimit <= V, "tokens below \(V)")
        let isTree = !tree.children(of: tree.root).isEmpty && tree.depth > 0
        try check("tree", "empty", isTree, "at least one answer")
        let longest = maximumLength - promptLength
        try check("tree", "\(tree.depth) tokens deep", tree.depth <= longest, "at most \(longest) after this prompt")
        if case .reading(let answer) = request.search { try validate(answer, in: tree) }
        guard case .beams(let width) = request.search else { return }
        // Beams share the prompt's full pages; each has its own from there on.
        let shared = promptLength / pool.positions
        let own = pool.pageCount(for: promptLength + tree.depth) - shared
        let widest = min(configuration.maximumBeams, max(1, (pool.capacity - shared) / max(own, 1)))
        try check("beams", width, (1...widest).contains(width), "from 1 to \(widest) after this prompt")
    }

    /// Checks that a given answer is one of the tree's.
    private func validate(_ answer: [Int32], in tree: any TokenTree) throws(EngineError) {
        var node = tree.root
        for (index, token) in answer.enumerated() {
            guard let child = tree.children(of: node).first(where: { $0.token == token }) else {
                let value = "an answer whose token \(index) is \(token)"
                throw .invalid(field: "search", value: value, expected: "an answer of the tree")
            }
            node = child.node
        }
        let value = "an answer of \(answer.count) tokens, which goes on"
        try check("search", value, tree.children(of: node).isEmpty, "an answer of the tree")
    }
}
