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

    /// The same; what the file says may be any number.
    var patience: Duration { readyWithin.isFinite ? .seconds(min(max(readyWithin, 0), 3_600)) : .zero }
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

    private var requestFile: String { "\(folder)/request.json" }
    private var answerFile: String { "\(folder)/answer.json" }

    /// The wish that is there now; nil when there is none.
    var request: ScaleRequest? { read(requestFile) }
    /// The last answer; nil when there is none.
    var answer: ScaleAnswer? { read(answerFile) }

    /// Makes the folder, and forgets what was wished of an earlier launcher.
    func clear() throws {
        try PrivateFile.makeFolder(folder, mode: 0o700)
        for file in [requestFile, answerFile] { try PrivateFile.removeAll(file) }
    }

    /// Leaves a wish, whole or not at all.
    func write(_ request: ScaleRequest) throws { try write(request, to: requestFile) }

    /// Leaves an answer, whole or not at all.
    func write(_ answer: ScaleAnswer) throws { try write(answer, to: answerFile) }

    private func write(_ value: some Encodable, to file: String) throws {
        try PrivateFile.replace(Array(JSONEncoder().encode(value)), at: file)
    }

    private func read<Value: Decodable>(_ file: String) -> Value? {
        guard let bytes = FileManager.default.contents(atPath: file) else { return nil }
        return try? JSONDecoder().decode(Value.self, from: bytes)
    }
}
