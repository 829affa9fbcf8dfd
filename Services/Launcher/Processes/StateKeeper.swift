/// Keeps the state file in sync with the running processes.
actor StateKeeper {
    private let folder: String
    private var state: SystemState

    /// Writes the initial state.
    init(_ state: SystemState, folder: String) throws {
        self.state = state
        self.folder = folder
        try state.write(to: folder)
    }

    /// Records that a process was started.
    func started(_ name: String, instance: Int, pid: Int32, isRestart: Bool) throws {
        try change(name, instance) { process in
            process.pid = pid
            if isRestart { process.restarts += 1 }
        }
    }

    /// Records that a process ended.
    func ended(_ name: String, instance: Int) throws {
        try change(name, instance) { $0.pid = 0 }
    }

    /// Records an additional process, after the others of its kind.
    func add(_ process: SystemState.Process) throws {
        let last = state.processes.lastIndex { $0.name == process.name }
        state.processes.insert(process, at: last.map { $0 + 1 } ?? state.processes.endIndex)
        try state.write(to: folder)
    }

    /// Records that a process was removed.
    func remove(_ name: String, instance: Int) throws {
        state.processes.removeAll { $0.name == name && $0.instance == instance }
        try state.write(to: folder)
    }

    /// Records the addresses for questions and events.
    func serve(gateways: [String], ingestors: [String]) throws {
        state.gateways = gateways
        state.ingestors = ingestors
        try state.write(to: folder)
    }

    /// Records that everything is ready.
    func up() throws {
        state.isUp = true
        try state.write(to: folder)
    }

    private func change(_ name: String, _ instance: Int, _ body: (inout SystemState.Process) -> Void) throws {
        guard let index = state.processes.firstIndex(where: { $0.name == name && $0.instance == instance }) else {
            preconditionFailure("no process \(name) \(instance) in the state")
        }
        body(&state.processes[index])
        try state.write(to: folder)
    }
}
