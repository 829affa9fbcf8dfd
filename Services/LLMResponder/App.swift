import ServiceRuntime
import Tensors

/// The LLM responder: a question in, an answer that knows its user out.
@main
struct App: ServiceProgram {
    static let name = "llm-responder"
    static let summary = "Answers questions about users from their rows, by cross-attention."
    static let adminPort = 9_104

    static func prepare() { ComputeRuntime.prepare() }
}
