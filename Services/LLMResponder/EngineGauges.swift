import LanguageEngine
import Messages
import ServiceRuntime

/// What the language model's engine is doing, in the terms of such engines.
struct EngineGauges: Sendable {
    private let running: Gauge
    private let waiting: Gauge
    private let pages: Gauge
    private let pagesCached: Gauge
    private let pagesTotal: Gauge
    private let promptTokens: Counter
    private let cachedTokens: Counter
    private let answerTokens: Counter
    private let prefixHits: Counter
    private let preemptions: Counter
    private let firstToken: Histogram
    private let perToken: Histogram

    /// Makes the metrics.
    init(_ metrics: MetricsRegistry, prefix: String) {
        running = metrics.gauge("\(prefix)_sequences_running", help: "Texts that the model reads or continues")
        waiting = metrics.gauge("\(prefix)_sequences_waiting", help: "Texts that wait for their turn or for pages")
        pages = metrics.gauge("\(prefix)_cache_pages_used", help: "Pages of keys and values in use")
        pagesCached = metrics.gauge(
            "\(prefix)_cache_pages_idle",
            help: "Pages that hold the beginning of an earlier text, and are given away when others need them"
        )
        pagesTotal = metrics.gauge("\(prefix)_cache_pages", help: "Pages of keys and values")
        promptTokens = metrics.counter("\(prefix)_prompt_tokens_total", help: "Tokens of prompts")
        cachedTokens = metrics.counter(
            "\(prefix)_prompt_tokens_cached_total",
            help: "Tokens of prompts that were not read, for their keys and values were there"
        )
        answerTokens = metrics.counter("\(prefix)_answer_tokens_total", help: "Tokens of answers")
        prefixHits = metrics.counter(
            "\(prefix)_prefix_hits_total",
            help: "Prompts of which the beginning was there already"
        )
        preemptions = metrics.counter(
            "\(prefix)_preemptions_total",
            help: "Texts that gave their pages to older ones and began again: more pages would help"
        )
        firstToken = metrics.histogram(
            "\(prefix)_time_to_first_token_seconds",
            help: "From taking a question to the first piece of its answer"
        )
        perToken = metrics.histogram(
            "\(prefix)_time_per_token_seconds",
            help: "Of free text: from the first piece to the end, for each further token"
        )
    }

    /// Shows the state of the engine; counters advance by what has come since it was shown last.
    func show(_ now: EngineMetrics, since last: EngineMetrics) {
        running.set(Double(now.running))
        waiting.set(Double(now.waiting))
        pages.set(Double(now.pagesInUse))
        pagesCached.set(Double(now.pagesCached))
        pagesTotal.set(Double(now.pagesTotal))
        promptTokens.increment(by: now.promptTokens - last.promptTokens)
        cachedTokens.increment(by: now.cachedPromptTokens - last.cachedPromptTokens)
        answerTokens.increment(by: now.generatedTokens - last.generatedTokens)
        prefixHits.increment(by: now.prefixHits - last.prefixHits)
        preemptions.increment(by: now.preemptions - last.preemptions)
    }

    /// Counts the times of an answer.
    func count(_ answer: Answer) {
        guard answer.status == .answered || answer.status == .noHistory else { return }
        firstToken.observe(Double(answer.firstTokenMicroseconds) / 1e6)
        guard answer.items.isEmpty, answer.answerTokens > 1 else { return }
        let rest = Double(answer.computeMicroseconds - min(answer.computeMicroseconds, answer.firstTokenMicroseconds))
        perToken.observe(rest / 1e6 / Double(answer.answerTokens - 1))
    }
}
