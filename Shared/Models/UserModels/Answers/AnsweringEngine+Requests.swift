import Bytes
import LanguageEngine
import Messages

/// What an answer's request means for the engine.
extension AnsweringEngine {
    /// Checks a request, and finds its prompt and the answers that are allowed.
    func state(
        for request: AnswerRequest,
        _ context: UserContext? = nil,
        deadline: ContinuousClock.Instant?
    ) throws(AnswerError) -> AnswerState {
        try validate(request)
        var state = AnswerState(
            request: request,
            prompt: try prompt(for: request),
            end: limits.now() + limits.time,
            deadline: deadline
        )
        let seen = context?.seenItems ?? SeenItems()
        if request.form.isText {
            try requireRoom(for: request, state.prompt)
            if request.form == .textWithTitles { (state.tree, state.excluded) = try allowed(request, seen) }
        } else {
            let (tree, excluded) = try allowed(request, seen)
            state.width = try width(for: request, tree, state.prompt)
            (state.tree, state.excluded) = (tree, excluded)
            state.given = try request.givenItem.map { (item) throws(AnswerError) in try tokens(ofGiven: item, request) }
        }
        return state
    }

    /// The engine's request for an answer.
    ///
    /// - Parameters:
    ///   - state: the answer.
    ///   - rows: the rows that the language model reads, shape [K, D].
    /// - Returns: a request that the engine has not checked yet.
    func sequenceRequest(for state: AnswerState, rows: [Float]) -> SequenceRequest {
        let request = state.request
        var sequence = SequenceRequest(tokens: state.prompt)
        switch adapter.configuration.kind {
        case _ where request.form.isText && !adapter.configuration.actsOnText: break
        case .crossAttention:
            sequence.context = rows
            sequence.contextStart = adapter.start(promptLength: state.prompt.count)
        case .softPrompt: sequence.softPrompt = rows
        }
        sequence.deadline = state.deadline.map { min($0, state.end) } ?? state.end
        sequence.stopTokens = format.endTokens
        if !request.form.isText, let tree = state.tree {
            sequence.tree = tree
            sequence.search = state.given.map { .reading($0) } ?? .beams(width: state.width)
            return sequence
        }
        sequence.passages = state.tree.map { TreePassages(marks: titleMarks, tree: $0, end: format.end) }
        sequence.maximumTokens = request.maximumTokens
        sequence.stopStrings = request.stop
        sequence.sampling = request.sampling
        for token in format.unwritable { sequence.sampling.logitBias[token] = -.infinity }
        return sequence
    }

    /// The rows that the language model reads for a context.
    func rows(of context: [Float]?) throws(AnswerError) -> [Float] {
        guard let context else { return rowsWithoutHistory }
        let shape = adapter.configuration.perceiver
        guard context.count == shape.latents * shape.width else {
            throw .contextSize(found: context.count, rows: shape.latents, columns: shape.width)
        }
        return adapter.projected(context)
    }

    /// The tokens of a given item's title.
    private func tokens(ofGiven item: ItemID, _ request: AnswerRequest) throws(AnswerError) -> [Int32] {
        let leaf = features.index(ofItem: item).map { leafOfTitle[$0] } ?? -1
        guard request.form == .title, leaf >= 0 else {
            let expected = "an item of the catalogue with a title, for an answer in the form of one"
            throw .invalid(field: "givenItem", value: item.text, expected: expected)
        }
        return answers.titles.sequence(ofLeaf: leaf)
    }

    private func validate(_ request: AnswerRequest) throws(AnswerError) {
        guard request.itemCount >= 1, request.itemCount <= max(catalogue.count, 1000) else {
            throw .invalid(field: "itemCount", value: "\(request.itemCount)", expected: "1 to the catalogue's size")
        }
        guard request.maximumTokens >= 1 else {
            throw .invalid(field: "maximumTokens", value: "\(request.maximumTokens)", expected: "at least 1")
        }
        let temperature = request.sampling.temperature
        guard temperature.isFinite, temperature >= 0 else {
            throw .invalid(field: "temperature", value: "\(temperature)", expected: "a number, at least 0")
        }
        if !format.isChat {
            let expected = "none: the language model of this bundle is no chat model"
            if request.system != nil { throw .invalid(field: "system", value: "given", expected: expected) }
            if !request.turns.isEmpty {
                throw .invalid(field: "turns", value: "\(request.turns.count) turns", expected: expected)
            }
        }
    }

    private func prompt(for request: AnswerRequest) throws(AnswerError) -> [Int32] {
        let prompt = try format.prompt(
            system: request.system,
            turns: request.form == .textWithTitles ? format.titleExample + request.turns : request.turns,
            text: request.text,
            askedAt: request.askedAt ?? WallClock.milliseconds
        )
        let answerLength = request.form.isText ? request.maximumTokens : answers.longest
        let (room, overflows) = (engine.maximumLength - contextPositions).subtractingReportingOverflow(answerLength)
        let limit = overflows ? 0 : max(room, 0)
        guard prompt.count <= limit else { throw .questionTooLong(tokens: prompt.count, limit: limit) }
        return prompt
    }

    /// The answers that remain allowed, and the excluded items.
    ///
    /// A title shared by several items stays as long as one of them is allowed.
    private func allowed(
        _ request: AnswerRequest,
        _ seen: SeenItems
    ) throws(AnswerError) -> (RestrictedTree, Set<Int>) {
        var excluded = Set((request.excludedItems ?? []).compactMap { features.index(ofItem: $0) })
        if !request.includesSeen {
            // A row may come from anywhere, and have numbers that the catalogue does not.
            excluded.formUnion(seen.numbers.lazy.map { Int($0) }.filter { $0 < self.catalogue.count })
        }
        let (tree, leafOfItem) =
            switch request.form {
            case .title, .textWithTitles: (answers.titles, leafOfTitle)
            case .category: (answers.categories, [Int]())
            default: (answers.all, leafOfTitleInAll)
            }
        let leaves = leafOfItem.isEmpty ? [] : Set(excluded.map { leafOfItem[$0] }.filter { $0 >= 0 })
        let gone = leaves.filter { leaf in tree.values(ofLeaf: leaf).allSatisfy(excluded.contains) }
        let restricted = RestrictedTree(tree, without: gone)
        guard restricted.leafCount(below: PrefixTree.root) > 0 else { throw .nothingLeft }
        return (restricted, excluded)
    }
}
