import CKernels
import COpenBLAS
import Foundation

/// The process-wide settings of the numeric libraries.
public enum ComputeRuntime {
    private static let coreTypeVariable = "OPENBLAS_CORETYPE"
    private static let guardVariable = "USERLLM_CORETYPE_CHOSEN"

    /// Chooses OpenBLAS's kernels for this processor; must be called first in `main` of a process that computes.
    ///
    /// OpenBLAS reads `OPENBLAS_CORETYPE` when it is loaded, before any of our code runs, and does not know processors
    /// newer than itself: on those it falls back to kernels of half the speed. So if the variable is unset, this sets
    /// it and re-executes the program, once, in the same process. A value that the user set is kept.
    public static func prepare() {
        useOneThreadPerProduct()
        #if os(Linux)
            let environment = ProcessInfo.processInfo.environment
            guard environment[coreTypeVariable] == nil, environment[guardVariable] == nil else { return }
            guard let coreType = preferredCoreType else { return }
            setenv(guardVariable, "1", 1)
            setenv(coreTypeVariable, coreType, 1)
            // Avoids a thread pool that would never be used.
            setenv("OPENBLAS_NUM_THREADS", "1", 0)
            restart()
        #endif
    }

    /// The choice that was made, for the log.
    public static var description: String {
        let core = openblas_get_corename().map { String(cString: $0) } ?? "unknown"
        let asked = ProcessInfo.processInfo.environment[coreTypeVariable]
        let chosen = ProcessInfo.processInfo.environment[guardVariable] != nil
        let origin = asked.map { chosen ? "chosen for this processor: \($0)" : "set by the environment: \($0)" }
        return "OpenBLAS kernels \(core) (\(origin ?? "OpenBLAS's own choice")), vector code "
            + ["baseline", "AVX2", "AVX-512", "AVX-512 with BF16"][Int(ul_cpu_level())]
    }

    /// The throughput of OpenBLAS's own threads on products of square matrices, in GFLOPS, best of ten.
    ///
    /// For benchmarks: it changes OpenBLAS's thread count while it runs, so nothing else may compute meanwhile.
    public static func productGflops(size: Int, threads: Int) -> Double {
        let (a, b) = (Tensor(shape: [size, size]), Tensor(shape: [size, size]))
        let c = Tensor(shape: [size, size])
        a.fill(1)
        b.fill(1)
        useOneThreadPerProduct()
        openblas_set_num_threads(Int32(threads))
        defer { openblas_set_num_threads(1) }
        let n = Int32(size)
        let times = (0..<10).map { _ in
            let start = ContinuousClock.now
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.base, n, b.base, n, 0, c.base, n)
            return ContinuousClock.now - start
        }
        let fastest = times.min() ?? .zero
        let seconds = Double(fastest.components.seconds) + Double(fastest.components.attoseconds) * 1e-18
        return 2 * Double(size * size * size) / seconds / 1e9
    }

    /// The core type whose kernels fit this processor; nil where OpenBLAS's own choice is right.
    static var preferredCoreType: String? {
        switch ul_cpu_level() {
        case 2...: "SkylakeX"
        case 1: "Haswell"
        default: nil
        }
    }

    /// Makes each product run on the calling thread: the parallelism is over the shards of a batch.
    static func useOneThreadPerProduct() { _ = oneThread }

    private static let oneThread: Void = openblas_set_num_threads(1)

    /// Re-executes this program; returns if the system refuses, and then the slower kernels stay in use.
    private static func restart() {
        var arguments = CommandLine.arguments.map { strdup($0) }
        arguments.append(nil)
        // The resolved path instead of /proc/self/exe, so that the process keeps its name in process lists.
        let link = "/proc/self/exe"
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) ?? link
        execv(program, arguments)
        execv(link, arguments)
        for argument in arguments { free(argument) }
    }
}
