import ServiceRuntime

extension Command {
    /// Declares a command that works on its own thread and prints a report, as JSON with `--json`.
    ///
    /// - Parameters:
    ///   - name: as typed.
    ///   - summary: one line for `--help`.
    ///   - arguments: the positional arguments, in order.
    ///   - keys: the keys it reads besides `json`.
    ///   - work: what the process does, in messages.
    ///   - prepare: reads arguments and keys, and gives the work.
    init(
        _ name: String,
        summary: String,
        arguments: [CommandArgument],
        keys: [any AnyConfigurationKey],
        work: String,
        prepare: @escaping @Sendable (ProcessContext) throws -> @Sendable (Shutdown) throws -> Report
    ) {
        self.init(name, summary: summary, arguments: arguments, keys: keys + [TrainerKeys.json]) { context in
            let report = try prepare(context)
            let json = try context.configuration.value(of: TrainerKeys.json)
            try await context.compute(work) { shutdown in try report(shutdown).print(json: json) }
        }
    }
}
