import Foundation
import Testing

@testable import Launcher

/// What is recorded of processes.
@Suite struct SystemStateTests {
    /// Nobody waits for a process whose parent was killed in a container without an init process.
    @Test func aProcessThatHasEndedDoesNotRunAlthoughNobodyWaitedForIt() throws {
        var child = pid_t()
        let words = ["sleep", "600"].map { strdup($0) }
        defer { for word in words { free(word) } }
        try #require(posix_spawn(&child, "/bin/sleep", nil, nil, words + [nil], environ) == 0)
        func process(_ name: String, _ pid: pid_t) -> SystemState.Process {
            SystemState.Process(name: name, instance: 0, pid: pid, port: nil, adminPort: nil, restarts: 0)
        }
        // Its command line is ours until it has begun.
        while !process("sleep", child).isRunning { usleep(1_000) }
        #expect(!process("gateway", child).isRunning && !process("sleep", 0).isRunning)
        kill(child, SIGKILL)
        var information = siginfo_t()
        // Waits without taking the process away.
        try #require(waitid(P_PID, id_t(child), &information, WEXITED | WNOWAIT) == 0)
        #expect(kill(child, 0) == 0 && !process("sleep", child).isRunning)
        waitpid(child, nil, 0)
        #expect(!process("sleep", child).isRunning)
    }
}
