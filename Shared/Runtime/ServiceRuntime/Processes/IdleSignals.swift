import Glibc

/// The effect of termination signals on a process while none of its services run: before its group handles them, and
/// afterwards.
enum IdleSignals {
    /// `SIGTERM`, `SIGINT` and, unless the process was started to outlive its terminal as `nohup` does it, `SIGHUP`.
    static let numbers: [Int32] = {
        var hangUp = sigaction()
        sigaction(SIGHUP, nil, &hangUp)
        // `SIG_IGN` is a number cast to a function pointer, and Swift cannot compare functions.
        let isIgnored = unsafeBitCast(hangUp.__sigaction_handler.sa_handler, to: Int.self) == 1
        return isIgnored ? [SIGTERM, SIGINT] : [SIGTERM, SIGINT, SIGHUP]
    }()

    /// They end the process at once, as after a stop that was requested later: nothing is in progress yet.
    static func endCleanly() {
        for number in numbers { signal(number) { _ in _exit(0) } }
    }

    /// They end the process by the signal, which tells a shell that a command was interrupted.
    static func endBySignal() {
        for number in numbers { signal(number, SIG_DFL) }
    }
}
