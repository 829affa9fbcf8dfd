import Glibc

/// What `SIGTERM` and `SIGINT` do to a process while no service of it runs: before its group hears them, and after.
enum IdleSignals {
    /// They end the process at once, as after a stop that was asked for later: nothing is under way yet.
    static func endCleanly() {
        for number in [SIGTERM, SIGINT] { signal(number) { _ in _exit(0) } }
    }

    /// They end the process by the signal, which tells a shell that a command was interrupted.
    static func endBySignal() {
        for number in [SIGTERM, SIGINT] { signal(number, SIG_DFL) }
    }
}
