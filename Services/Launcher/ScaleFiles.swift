import Foundation
import ServiceRuntime

/// A wish to change the number of processes, as `userllm scale` leaves it for the launcher.
struct ScaleRequest: Codable, Sendable {
    /// Tells this wish from others.
    var id: String
    /// How many processes of a service there should be, by its name; services not named stay as they are.
    var counts: [String: Int]
    /// How long new processes may take to be ready, in seconds.
    var readyWithin: Double
}

/// What came of a wish so far.
struct ScaleAnswer: Codable, Sendable {
    /// The wish's.
    var id: String
    /// Whether nothing more will come.
    var isDone = false
    /// What happened, a line each.
    var lines: [String] = []
    /// What went wrong, a line each.
    var problems: [String] = []
}

/// The two files through which `userllm scale` and the launcher talk, in a folder of the state.
struct ScaleFiles: Sendable {
    /// The folder; only the launcher's user can enter the one above it.
    let folder: String

    /// The files of a data folder.
    init(data: String) {
        folder = "\(SystemState.folder(in: data))/scale"
    }

    private var requestFile: URL { URL(filePath: "\(folder)/request.json") }
    private var answerFile: URL { URL(filePath: "\(folder)/answer.json") }

    /// The wish that is there now; nil when there is none.
    var request: ScaleRequest? { read(requestFile) }
    /// The last answer; nil when there is none.
    var answer: ScaleAnswer? { read(answerFile) }

    /// Makes the folder, and forgets what was wished of an earlier launcher.
    func clear() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for file in [requestFile, answerFile] { try? FileManager.default.removeItem(at: file) }
    }

    /// Leaves a wish, whole or not at all.
    func write(_ request: ScaleRequest) throws { try write(request, to: requestFile) }

    /// Leaves an answer, whole or not at all.
    func write(_ answer: ScaleAnswer) throws { try write(answer, to: answerFile) }

    private func write(_ value: some Encodable, to file: URL) throws {
        try JSONEncoder().encode(value).write(to: file, options: .atomic)
    }

    private func read<Value: Decodable>(_ file: URL) -> Value? {
        guard let bytes = try? Data(contentsOf: file) else { return nil }
        return try? JSONDecoder().decode(Value.self, from: bytes)
    }
}
