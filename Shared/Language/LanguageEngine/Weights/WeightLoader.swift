import CLanguageKernels

/// Finds a model's tensors one after the other, and then packs all matrices in parallel.
struct WeightLoader {
    private struct Job {
        let name: String
        let matrix: WeightMatrix
        let rows: WeightRows
    }

    private let format: WeightFormat
    private let find: (String) throws -> WeightRows?
    private var jobs: [Job] = []

    /// Matrices are packed in pieces of this many rows; a multiple of the kernels' groups of 16.
    private static let pieceRowCount = 256

    init(format: WeightFormat, find: @escaping (String) throws -> WeightRows?) {
        self.format = format
        self.find = find
    }

    /// Makes room for the matrix of this name; `pack` fills it.
    mutating func matrix(_ name: String, _ outputs: Int, _ inputs: Int) throws -> WeightMatrix {
        try matrix(name, outputs, inputs, format)
    }

    /// Makes room for two matrices that one product reads, so that both need one kind of input.
    ///
    /// Where the stored types differ so much that they do not, both become Float32.
    mutating func pair(
        _ first: String,
        _ second: String,
        _ outputs: Int,
        _ inputs: Int
    ) throws -> (WeightMatrix, WeightMatrix) {
        let queued = jobs.count
        let pair = (try matrix(first, outputs, inputs), try matrix(second, outputs, inputs))
        if pair.0.inputKind == pair.1.inputKind { return pair }
        jobs.removeLast(jobs.count - queued)
        return (try matrix(first, outputs, inputs, .float32), try matrix(second, outputs, inputs, .float32))
    }

    private mutating func matrix(
        _ name: String,
        _ outputs: Int,
        _ inputs: Int,
        _ format: WeightFormat
    ) throws -> WeightMatrix {
        let rows = try rows(name, [outputs, inputs])
        let packed = format.packed(from: rows.source, inputs: inputs)
        let matrix = try WeightMatrix(name, format: packed, outputs: outputs, inputs: inputs)
        jobs.append(Job(name: name, matrix: matrix, rows: rows))
        return matrix
    }

    /// Reads the vector of this name.
    func vector(_ name: String, _ count: Int) throws -> WeightVector { try rows(name, [count]).floats() }

    private func rows(_ name: String, _ shape: [Int]) throws -> WeightRows {
        guard let found = try find(name) else {
            throw LanguageModelWeightsError(tensor: name, problem: "is missing, expected shape \(shape)")
        }
        // Plain numbers come without a shape of their own.
        let isFlat = found.shape == [shape.reduce(1, *)]
        guard found.shape == shape || isFlat else {
            throw LanguageModelWeightsError(tensor: name, problem: "has shape \(found.shape), expected \(shape)")
        }
        return found.shaped(shape)
    }

    /// Packs all matrices.
    ///
    /// - Throws: `LanguageModelWeightsError` naming the first tensor that the kernels refuse.
    mutating func pack(on team: ThreadTeam) throws(LanguageModelWeightsError) {
        let jobs = jobs
        self.jobs = []
        let pieces = jobs.indices.flatMap { job in
            stride(from: 0, to: jobs[job].matrix.outputs, by: Self.pieceRowCount).map { (job: job, first: $0) }
        }
        var statuses = [Int32](repeating: Int32(LK_OK), count: pieces.count)
        statuses.withUnsafeMutableBufferPointer { statuses in
            team.run { member in
                while true {
                    let index = member.claim()
                    guard index < pieces.count else { return }
                    let (job, first) = (jobs[pieces[index].job], pieces[index].first)
                    let last = min(first + Self.pieceRowCount, job.matrix.outputs)
                    statuses[index] = job.rows.pack(first..<last, into: job.matrix)
                }
            }
        }
        if let index = statuses.firstIndex(where: { $0 != LK_OK }) {
            let job = jobs[pieces[index].job]
            let problem = WeightMatrix.problem(statuses[index], job.rows.shape)
            throw LanguageModelWeightsError(tensor: job.name, problem: problem)
        }
    }
}
