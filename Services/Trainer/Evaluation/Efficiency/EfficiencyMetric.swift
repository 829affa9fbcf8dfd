/// One line of the efficiency table: a quantity measured or counted at every length of timeline.
///
/// The raw value is the key in JSON, where times are in seconds and sizes in bytes. "Fresh" includes the encoding of the
/// timeline; "row" takes the user's row as it was stored. "Known" means that the keys and values of what all users'
/// prompts have in common are there.
enum EfficiencyMetric: String, CaseIterable, Sendable {
    case textTokens = "text_tokens"
    case textTokensRead = "text_tokens_read"
    case textEventsRead = "text_events_read"
    case questionTokens = "embedding_tokens"

    case textFLOPs = "text_flops"
    case wholeTextFLOPs = "text_flops_of_all_events"
    case freshFLOPs = "embedding_flops_fresh"
    case rowFLOPs = "embedding_flops_row"
    case freshFLOPsRatio = "flops_ratio_fresh"
    case rowFLOPsRatio = "flops_ratio_row"
    case wholeFLOPsRatio = "flops_ratio_fresh_of_all_events"

    case textFirst = "text_first_token"
    case wholeTextFirst = "text_first_token_of_all_events"
    case llamaFirst = "llama_cpp_first_token"
    case freshFirst = "embedding_first_token_fresh"
    case rowFirst = "embedding_first_token_row"
    case freshFirstRatio = "first_token_ratio_fresh"
    case rowFirstRatio = "first_token_ratio_row"
    case wholeFirstRatio = "first_token_ratio_fresh_of_all_events"
    case llamaFirstRatio = "llama_cpp_first_token_ratio_fresh"

    case knownTextFLOPs = "text_flops_known"
    case knownFreshFLOPs = "embedding_flops_fresh_known"
    case knownRowFLOPs = "embedding_flops_row_known"
    case knownTextFirst = "text_first_token_known"
    case knownFreshFirst = "embedding_first_token_fresh_known"
    case knownRowFirst = "embedding_first_token_row_known"
    case knownFreshFirstRatio = "first_token_ratio_fresh_known"
    case knownRowFirstRatio = "first_token_ratio_row_known"

    case text16 = "text_16_tokens"
    case fresh16 = "embedding_16_tokens_fresh"
    case row16 = "embedding_16_tokens_row"
    case fresh16Ratio = "ratio_16_tokens_fresh"
    case text64 = "text_64_tokens"
    case llama64 = "llama_cpp_64_tokens"
    case fresh64 = "embedding_64_tokens_fresh"
    case row64 = "embedding_64_tokens_row"
    case fresh64Ratio = "ratio_64_tokens_fresh"

    case cachedFirst = "text_first_token_cached"
    case eventTokens = "text_event_tokens"
    case eventTime = "text_event"
    case refreshTime = "embedding_refresh"
    case eventRatio = "event_ratio"

    case textBytes = "text_bytes"
    case cacheFloat32 = "text_cache_bytes_float32"
    case cacheBFloat16 = "text_cache_bytes_bfloat16"
    case cacheInt8 = "text_cache_bytes_int8"
    case rowBytes = "row_bytes"
    case bytesRatio = "bytes_ratio_bfloat16"

    /// How a value is shown.
    enum Unit: Sendable {
        case count, operations, time, bytes, ratio
    }

    /// The parts of the table, in order.
    static let sections: [(title: String, metrics: [EfficiencyMetric])] = [
        ("Prompt", [.textTokens, .textTokensRead, .textEventsRead, .questionTokens]),
        (
            "Floating-point operations up to the first token, counted; no prefix known",
            [
                .textFLOPs, .wholeTextFLOPs, .freshFLOPs, .rowFLOPs, .freshFLOPsRatio, .rowFLOPsRatio,
                .wholeFLOPsRatio,
            ]
        ),
        (
            "Time to the first token; no prefix known",
            [
                .textFirst, .wholeTextFirst, .llamaFirst, .freshFirst, .rowFirst, .freshFirstRatio, .rowFirstRatio,
                .wholeFirstRatio, .llamaFirstRatio,
            ]
        ),
        (
            "The same where what all users' prompts have in common is known",
            [
                .knownTextFLOPs, .knownFreshFLOPs, .knownRowFLOPs, .knownTextFirst, .knownFreshFirst, .knownRowFirst,
                .knownFreshFirstRatio, .knownRowFirstRatio,
            ]
        ),
        (
            "End to end; no prefix known",
            [.text16, .fresh16, .row16, .fresh16Ratio, .text64, .llama64, .fresh64, .row64, .fresh64Ratio]
        ),
        (
            "One more event, where a text's keys and values are kept",
            [.cachedFirst, .eventTokens, .eventTime, .refreshTime, .eventRatio]
        ),
        (
            "Kept per user",
            [.textBytes, .cacheFloat32, .cacheBFloat16, .cacheInt8, .rowBytes, .bytesRatio]
        ),
    ]

    /// The line's name in its section.
    var label: String {
        switch self {
        case .textTokens: "text: tokens of all events"
        case .textTokensRead: "text: tokens that are read"
        case .textEventsRead: "text: events that are read"
        case .questionTokens: "embedding: tokens, of the question alone"
        case .textFLOPs, .knownTextFLOPs: "text: operations"
        case .wholeTextFLOPs: "text of all events: operations"
        case .freshFLOPs, .knownFreshFLOPs: "embedding: operations, encoder's included"
        case .rowFLOPs, .knownRowFLOPs: "embedding: operations, row ready"
        case .freshFLOPsRatio, .freshFirstRatio, .knownFreshFirstRatio, .fresh16Ratio, .fresh64Ratio:
            "text : embedding, encoder included"
        case .rowFLOPsRatio, .rowFirstRatio, .knownRowFirstRatio: "text : embedding, row ready"
        case .wholeFLOPsRatio, .wholeFirstRatio: "text of all events : embedding, encoder incl."
        case .textFirst, .knownTextFirst: "text"
        case .wholeTextFirst: "text of all events, extrapolated"
        case .llamaFirst: "text, llama.cpp"
        case .freshFirst, .knownFreshFirst: "embedding, encoder's work included"
        case .rowFirst, .knownRowFirst: "embedding, row ready"
        case .llamaFirstRatio: "llama.cpp : embedding, encoder included"
        case .text16: "text, 16 tokens"
        case .fresh16: "embedding, 16 tokens, encoder included"
        case .row16: "embedding, 16 tokens, row ready"
        case .text64: "text, 64 tokens"
        case .llama64: "text, 64 tokens, llama.cpp"
        case .fresh64: "embedding, 64 tokens, encoder included"
        case .row64: "embedding, 64 tokens, row ready"
        case .cachedFirst: "text: first token, nothing new"
        case .eventTokens: "text: tokens of the event"
        case .eventTime: "text: reading the event"
        case .refreshTime: "embedding: encoding the timeline anew"
        case .eventRatio: "text : embedding"
        case .textBytes: "text: the prompt's characters"
        case .cacheFloat32: "text: keys and values, float32"
        case .cacheBFloat16: "text: keys and values, bfloat16"
        case .cacheInt8: "text: keys and values, int8"
        case .rowBytes: "embedding: the row"
        case .bytesRatio: "keys and values in bfloat16 : row"
        }
    }

    /// How its values are shown.
    var unit: Unit {
        switch self {
        case .textTokens, .textTokensRead, .textEventsRead, .questionTokens, .eventTokens: .count
        case .textFLOPs, .wholeTextFLOPs, .freshFLOPs, .rowFLOPs, .knownTextFLOPs, .knownFreshFLOPs, .knownRowFLOPs:
            .operations
        case .freshFLOPsRatio, .rowFLOPsRatio, .wholeFLOPsRatio, .freshFirstRatio, .rowFirstRatio, .wholeFirstRatio,
            .llamaFirstRatio, .knownFreshFirstRatio, .knownRowFirstRatio, .fresh16Ratio, .fresh64Ratio, .eventRatio,
            .bytesRatio:
            .ratio
        case .textBytes, .cacheFloat32, .cacheBFloat16, .cacheInt8, .rowBytes: .bytes
        default: .time
        }
    }

    /// The two lines whose quotient this one is; nil for one that is measured or counted.
    var quotient: (dividend: EfficiencyMetric, divisor: EfficiencyMetric)? {
        switch self {
        case .freshFLOPsRatio: (.textFLOPs, .freshFLOPs)
        case .rowFLOPsRatio: (.textFLOPs, .rowFLOPs)
        case .wholeFLOPsRatio: (.wholeTextFLOPs, .freshFLOPs)
        case .freshFirstRatio: (.textFirst, .freshFirst)
        case .rowFirstRatio: (.textFirst, .rowFirst)
        case .wholeFirstRatio: (.wholeTextFirst, .freshFirst)
        case .llamaFirstRatio: (.llamaFirst, .freshFirst)
        case .knownFreshFirstRatio: (.knownTextFirst, .knownFreshFirst)
        case .knownRowFirstRatio: (.knownTextFirst, .knownRowFirst)
        case .fresh16Ratio: (.text16, .fresh16)
        case .fresh64Ratio: (.text64, .fresh64)
        case .eventRatio: (.eventTime, .refreshTime)
        case .bytesRatio: (.cacheBFloat16, .rowBytes)
        default: nil
        }
    }

    /// Whether it is about more events than the language model reads, so that it is no measurement.
    var isExtrapolated: Bool {
        switch self {
        case .wholeTextFLOPs, .wholeFLOPsRatio, .wholeTextFirst, .wholeFirstRatio: true
        default: false
        }
    }

    /// Whether it is about the text that is read, which may be a part of the timeline.
    var concernsText: Bool {
        switch self {
        case .textTokens, .questionTokens, .freshFLOPs, .rowFLOPs, .knownFreshFLOPs, .knownRowFLOPs, .freshFirst,
            .rowFirst, .knownFreshFirst, .knownRowFirst, .fresh16, .row16, .fresh64, .row64, .refreshTime, .rowBytes,
            .eventTokens, .textTokensRead, .textEventsRead:
            false
        default: !isExtrapolated
        }
    }
}
