internal import JSON

/// What stands around the model in a `tokenizer.json`: normalizer, pre-tokenizer, post-processor and decoder.
extension Tokenizer {
    /// Maximum number of steps in a sequence; those in use have up to five.
    private static let mostSteps = 64

    static func normalizer(_ node: JSONNode) throws(TokenizerError) -> Normalizer {
        guard !node.isNull else { return .none }
        var result = Normalizer.none
        for step in try steps(node, "normalizers") {
            guard try step["type"].string() == "NFC" else {
                throw step["type"].unsupported("NFC, a Sequence of it, or null")
            }
            result = .composed
        }
        return result
    }

    /// A chain of steps: a `Sequence`, however deep, or one step alone.
    private static func steps(_ node: JSONNode, _ field: String) throws(TokenizerError) -> [JSONNode] {
        var (result, waiting): ([JSONNode], [JSONNode]) = ([], [node])
        while let step = waiting.popLast() {
            if try step["type"].string() == "Sequence" {
                waiting += try step[field].array().reversed()
            } else {
                result.append(step)
            }
            guard result.count + waiting.count <= mostSteps else {
                throw .malformed(key: node.path, reason: "has more than \(mostSteps) steps")
            }
        }
        return result
    }

    static func preTokenizer(_ node: JSONNode) throws(TokenizerError) -> PreTokenizer {
        let nodes = try steps(node, "pretokenizers")
        guard let last = nodes.last else { throw node.wrong("ByteLevel as the last step") }
        var steps: [PreTokenizer.Step] = []
        for step in nodes.dropLast() {
            switch try step["type"].string() {
            case "Digits": steps.append(.digits(individually: try step["individual_digits"].boolean(default: false)))
            case "Split": steps.append(try split(step))
            case "ByteLevel": throw step["type"].unsupported("ByteLevel as the last step only")
            default: throw step["type"].unsupported("Digits, Split, ByteLevel or a Sequence of them")
            }
        }
        guard try last["type"].string() == "ByteLevel" else {
            throw last["type"].unsupported("ByteLevel, alone or behind Digits and Split")
        }
        _ = try last["trim_offsets"].boolean(default: true)
        return try PreTokenizer(
            steps: steps,
            addsPrefixSpace: try last["add_prefix_space"].boolean(default: true),
            usesPattern: try last["use_regex"].boolean(default: true)
        )
    }

    private static func split(_ node: JSONNode) throws(TokenizerError) -> PreTokenizer.Step {
        let behaviour = node["behavior"]
        guard let kind = PreTokenizer.Behaviour(rawValue: try behaviour.string()) else {
            throw behaviour.unsupported(PreTokenizer.Behaviour.allCases.map(\.rawValue).joined(separator: ", "))
        }
        let delimiter: PreTokenizer.Delimiter
        let (pattern, text) = (node["pattern"]["Regex"], node["pattern"]["String"])
        if text.isNull {
            delimiter = .pattern(try PiecePattern(try pattern.string(), key: pattern.path))
        } else {
            guard case let wanted = try text.string(), !wanted.isEmpty else { throw text.wrong("a text to split at") }
            delimiter = .text(wanted)
        }
        return .split(delimiter, kind, isInverted: try node["invert"].boolean(default: false))
    }

    /// The tokens that a post-processor puts around a text.
    ///
    /// A `ByteLevel` post-processor only adjusts offsets, which are not kept here.
    static func frame(_ node: JSONNode) throws(TokenizerError) -> Frame {
        var frame = Frame()
        guard !node.isNull else { return frame }
        for step in try steps(node, "processors") {
            switch try step["type"].string() {
            case "ByteLevel": continue
            case "TemplateProcessing":
                let added = try template(step)
                frame.before = added.before + frame.before
                frame.after += added.after
            default: throw step["type"].unsupported("ByteLevel, TemplateProcessing, a Sequence of them, or null")
            }
        }
        return frame
    }

    /// The template for one text; the one for two texts is of no use here.
    private static func template(_ node: JSONNode) throws(TokenizerError) -> Frame {
        var frame = Frame()
        var hasText = false
        let pieces = try node["single"].array()
        guard pieces.count <= mostSteps else { throw node["single"].wrong("at most \(mostSteps) pieces") }
        for piece in pieces {
            if piece["SpecialToken"].isNull {
                try piece["Sequence"]["id"].require("A")
                guard !hasText else { throw piece.unsupported("the text once") }
                hasText = true
                continue
            }
            let name = try piece["SpecialToken"]["id"].string()
            let ids = try node["special_tokens"][name]["ids"].array()
            guard ids.count <= mostSteps else { throw node["special_tokens"][name].wrong("at most \(mostSteps) ids") }
            let tokens = try ids.map { (id) throws(TokenizerError) in try id.identifier() }
            if hasText { frame.after += tokens } else { frame.before += tokens }
        }
        guard hasText else { throw node["single"].wrong("the text, {\"Sequence\": {\"id\": \"A\"}}, in it") }
        return frame
    }

    static func checkDecoder(_ node: JSONNode) throws(TokenizerError) {
        let nodes = try steps(node, "decoders")
        guard nodes.count == 1, let only = nodes.first else { throw node.unsupported("ByteLevel, alone") }
        try only["type"].require("ByteLevel")
    }
}
