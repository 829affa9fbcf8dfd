import ServiceRuntime

/// The gateway: questions over HTTP into `questions`, answers from `answers` and `answer-tokens` back.
@main
struct App: ServiceProgram {
    static let name = "gateway"
    static let summary = "Takes questions over HTTP and gives their answers, whole or as a stream."
    static let adminPort = 9_100
}
