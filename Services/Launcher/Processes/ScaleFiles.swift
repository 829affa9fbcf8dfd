import Foundation
import ServiceRuntime

/// A request to change the number of processes, left by `userllm scale` for the launcher.
struct ScaleRequest: Codable, Sendable {
    /// Identifies the request.
    var id: String
    /// The desired number of processes by service name; services not named stay as they are.
    var counts: [String: Int]
    /// How long new processes may take to become ready, in seconds.
    var readyWithin: Double

    /// The same as a duration; the number in the file may be anything.
    var patience: Duration { readyWithin.isFinite ? .seconds(min(max(readyWithin, 0), 3_600)) : .zero }
}

/// The result of a request so far.
struct ScaleAnswer: Codable, Sendable {
    /// The id of the request.
    var id: String
    /// Whether the answer is complete.
    var isDone = false
    /// What happened, one line each.
    var lines: [String] = []
    /// What went wrong, one line each.
    var problems: [String] = []
}

/// The two files through which `userllm scale` and the launcher communicate, in a folder of the state.
struct ScaleFiles: Sendable {
    /// The folder; only the launcher's user can enter the one above it.
    let folder: String

    /// The files of a data folder.
    init(data: String) {
        folder = "\(SystemState.folder(in: data))/scale"
    }

    private var requestFile: String { "\(folder)/request.json" }
    private var answerFile: String { "\(folder)/answer.json" }

    /// The current request; nil if there is none.
    var request: ScaleRequest? { read(requestFile) }
    /// The latest answer; nil if there is none.
    var answer: ScaleAnswer? { read(answerFile) }

    /// Creates the folder, and removes requests to an earlier launcher.
    func clear() throws {
        try PrivateFile.makeFolder(folder, mode: 0o700)
        for file in [requestFile, answerFile] { try PrivateFile.removeAll(file) }
    }

    /// Writes a request atomically.
    func write(_ request: ScaleRequest) throws { try write(request, to: requestFile) }

    /// Writes an answer atomically.
    func write(_ answer: ScaleAnswer) throws { try write(answer, to: answerFile) }

    private func write(_ value: some Encodable, to file: String) throws {
        try PrivateFile.replace(Array(JSONEncoder().encode(value)), at: file)
    }

    private func read<Value: Decodable>(_ file: String) -> Value? {
        guard let bytes = FileManager.default.contents(atPath: file) else { return nil }
        return try? JSONDecoder().decode(Value.self, from: bytes)
    }
}
