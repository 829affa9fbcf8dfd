import Foundation
import Testing

@testable import Launcher

/// What is recorded of processes.
@Suite struct SystemStateTests {
    /// Nobody waits for a process whose parent was killed in a container without an init process.
    @Test func aProcessThatHasEndedDoesNotRunAlthoughNobodyWaitedForIt() throws {
        var child = pid_t()
        let words: [UnsafeMutablePointer<CChar>?] = ["sleep", "600"].map { (word: String) in strdup(word) }
        defer { for word in words { free(word) } }
        let started = posix_spawn(&child, "/bin/sleep", nil, nil, words + [nil], environ)
        try #require(started == 0)
        func process(_ name: String, _ pid: pid_t) -> SystemState.Process {
            SystemState.Process(name: name, instance: 0, pid: pid, port: nil, adminPort: nil, restarts: 0)
        }
        // Its command line is ours until it has begun.
        while !process("sleep", child).isRunning { usleep(1_000) }
        #expect(!process("gateway", child).isRunning && !process("sleep", 0).isRunning)
        kill(child, SIGKILL)
        var information = siginfo_t()
        // Waits without taking the process away.
        let waited = waitid(P_PID, id_t(child), &information, WEXITED | WNOWAIT)
        try #require(waited == 0)
        #expect(kill(child, 0) == 0 && !process("sleep", child).isRunning)
        waitpid(child, nil, 0)
        #expect(!process("sleep", child).isRunning)
    }
}
