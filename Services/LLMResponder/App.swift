import ServiceRuntime
import Tensors

/// The LLM responder: a question in, an answer that knows its user out.
@main
struct App {
    private static let summary = "Answers questions about users from their rows, by cross-attention."

    static func main() async {
        ComputeRuntime.prepare()
        await Program("llm-responder", summary: summary, commands: [command]).main()
    }

    private static let command = Command(
        summary: summary,
        keys: LLMResponderConfiguration.keys,
        kind: .service(adminPort: 9_104)
    ) { context in
        let configuration = try LLMResponderConfiguration(reader: context.configuration)
        try await run(configuration, context)
    }
}
