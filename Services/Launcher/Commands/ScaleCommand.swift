import Foundation
import ServiceRuntime

/// `userllm scale`: changes the number of processes of a running system.
enum ScaleCommand {
    private static let readyWithinKey = ConfigurationKey<Duration>(
        "ready-within",
        default: .seconds(120),
        in: .seconds(1) ... .seconds(3_600),
        help: "How long new processes may take to be ready; those that are not are taken away again"
    )
    private static func countKey(_ kind: ServiceKind) -> ConfigurationKey<Int> {
        ConfigurationKey(
            "\(kind.rawValue)s",
            in: SystemConfiguration.countRange,
            unit: "processes",
            help: "How many processes of \(kind.rawValue) to run; without it, as many as now"
        )
    }
    /// How long to wait for a launcher to begin.
    private static let patience: Duration = .seconds(60)

    /// The command as the program lists it.
    static let command = Command(
        "scale",
        summary: "Changes the number of processes of the system that runs on a data folder",
        keys: [SystemConfiguration.dataKey, readyWithinKey] + ServiceKind.allCases.map { countKey($0) }
    ) { context in
        let data = try context.configuration.value(of: SystemConfiguration.dataKey).absolutePath
        var counts: [String: Int] = [:]
        for kind in ServiceKind.allCases {
            counts[kind.rawValue] = try context.configuration.optionalValue(of: countKey(kind))
        }
        guard !counts.isEmpty else {
            throw ProcessFailure(
                "nothing to change: say how many, as in --encoder-workers 4 (`userllm scale --help` lists all)",
                exitCode: .usage
            )
        }
        guard let state = SystemState.running(on: data) else {
            throw ProcessFailure("no system runs on \(data): start one with `userllm up --data \(data)`")
        }
        guard state.isUp else {
            throw ProcessFailure(
                "the system on \(data) is still starting: wait until `userllm status --data \(data)` says up",
                exitCode: .unavailable
            )
        }
        let files = ScaleFiles(data: data)
        guard let lock = try FileLock(folder: files.folder) else {
            throw ProcessFailure(
                "another `userllm scale` is at work on \(data): wait until it has ended",
                exitCode: .unavailable
            )
        }
        defer { withExtendedLifetime(lock) {} }
        let readyWithin = try context.configuration.value(of: readyWithinKey)
        let request = ScaleRequest(
            id: UUID().uuidString.lowercased(),
            counts: counts,
            readyWithin: readyWithin / .seconds(1)
        )
        try files.write(request)
        try await follow(request, files, data: data)
    }

    /// Shows the launcher's progress until it is done.
    private static func follow(_ request: ScaleRequest, _ files: ScaleFiles, data: String) async throws {
        let console = Console()
        var shown = 0
        var patienceEnds = ContinuousClock.now + patience
        while true {
            // Checked before reading the answer, so that what a launcher wrote just before it ended is still read.
            let isRunning = SystemState.running(on: data) != nil
            let answer = files.answer
            if let answer, answer.id == request.id {
                for line in answer.lines.dropFirst(shown) { console.say(line) }
                shown = max(shown, answer.lines.count)
                if answer.isDone {
                    guard answer.problems.isEmpty else {
                        throw ProcessFailure(answer.problems.joined(separator: "\n"), exitCode: .unavailable)
                    }
                    return
                }
            } else if answer?.isDone == false {
                // The request of another user, who did not wait for it to finish.
                patienceEnds = .now + patience
            } else if ContinuousClock.now > patienceEnds {
                throw ProcessFailure(
                    "the launcher on \(data) did not begin within \(patience.configurationText): "
                        + "it hangs, or is of a version without `scale`",
                    exitCode: .unavailable
                )
            }
            guard isRunning else {
                throw ProcessFailure("the system on \(data) ended meanwhile", exitCode: .unavailable)
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
