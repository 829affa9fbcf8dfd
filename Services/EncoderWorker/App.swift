import ServiceRuntime
import Tensors

/// The encoder worker: `user-events` in, each touched user's embedding out.
@main
struct App: ServiceProgram {
    static let name = "encoder-worker"
    static let summary = "Keeps every user's timeline and embedding up to date with the user's events."
    static let adminPort = 9_102

    static func prepare() { ComputeRuntime.prepare() }
}
