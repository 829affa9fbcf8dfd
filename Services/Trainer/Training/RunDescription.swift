import Datasets
import Foundation
import JSON
import ServiceRuntime
import Bytes
import Tensors

/// What `run.json` says of a training: what is trained, on which data, and how.
struct RunDescription: Codable, Sendable, Equatable {
    /// What is trained, such as `encoder`.
    var kind: String
    /// Hash of the data set.
    var dataHash: String
    /// Seed of everything that is drawn.
    var seed: UInt64
    /// Threads, on which the numbers depend.
    var threads: Int
    /// In which numbers products read their factors.
    var precision = Precision.float32
    /// What trains, validates and tests.
    var evaluationProtocol = EvaluationProtocol.Name.leaveOneOut
    /// Every setting by its key, defaults too.
    var settings: [String: String] = [:]

    private enum CodingKeys: String, CodingKey {
        case kind, dataHash, seed, threads, precision, settings
        case evaluationProtocol = "protocol"
    }

    /// Settings that may be changed when a training goes on.
    ///
    /// They say when to look and when to end, or where parts came from that the checkpoint has. The precision is compared
    /// as it was chosen, not as it was asked for.
    private static let free: Set<String> = [
        "validations", "patience", "minutes", "encoder-minutes", "language-model-minutes", "user-llm-minutes",
        "evaluated-users", "encoder", "language-model", "precision",
    ]

    /// Describes a training.
    init(
        kind: String,
        dataHash: String,
        seed: UInt64,
        threads: Int,
        precision: Precision = .float32,
        evaluationProtocol: EvaluationProtocol.Name = .leaveOneOut,
        settings: [String: String] = [:]
    ) {
        self.kind = kind
        self.dataHash = dataHash
        self.seed = seed
        self.threads = threads
        self.precision = precision
        self.evaluationProtocol = evaluationProtocol
        self.settings = settings
    }

    /// Reads one; what earlier versions did not write yet has the value that held then.
    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        kind = try values.decode(String.self, forKey: .kind)
        dataHash = try values.decode(String.self, forKey: .dataHash)
        seed = try values.decode(UInt64.self, forKey: .seed)
        threads = try values.decode(Int.self, forKey: .threads)
        precision = try values.decodeIfPresent(Precision.self, forKey: .precision) ?? .float32
        evaluationProtocol =
            try values.decodeIfPresent(EvaluationProtocol.Name.self, forKey: .evaluationProtocol) ?? .leaveOneOut
        settings = try values.decodeIfPresent([String: String].self, forKey: .settings) ?? [:]
    }

    /// Reads the description in a run's folder.
    ///
    /// - Throws: `ProcessFailure` when the folder holds no training, or the file is not understood.
    init(folder: String) throws {
        let path = folder + "/run.json"
        do {
            self = try JSONValue.decode(Self.self, from: FileBytes.contents(path, atMost: 1 << 20))
        } catch let failure as FileBytes.Failure where failure.isMissing {
            throw ProcessFailure(
                "\(folder) holds no training, it has no run.json: make one with `trainer train`",
                exitCode: .badInput
            )
        } catch {
            throw ProcessFailure(
                "\(path) is not what the trainer writes: \(JSONError.reason(error)); copy the folder again, or train again",
                exitCode: .badInput
            )
        }
    }

    /// Writes it into a run's folder, which is made when it is missing.
    ///
    /// - Throws: when the file cannot be written.
    func write(to folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(self).write(to: URL(fileURLWithPath: folder + "/run.json"), options: .atomic)
    }

    /// Refuses to go on with a training by other settings than those it began with, as its numbers would then be of
    /// neither.
    ///
    /// - Throws: `ProcessFailure` naming the first setting that differs, with both values.
    func checkResumes(_ begun: RunDescription, folder: String) throws {
        var pairs: [(String, String, String)] = [
            ("kind", begun.kind, kind),
            ("data", begun.dataHash, dataHash),
            ("seed", "\(begun.seed)", "\(seed)"),
            ("threads", "\(begun.threads)", "\(threads)"),
            ("precision", begun.precision.rawValue, precision.rawValue),
            ("protocol", begun.evaluationProtocol.rawValue, evaluationProtocol.rawValue),
        ]
        for (key, value) in begun.settings.sorted(by: { $0.key < $1.key }) where !Self.free.contains(key) {
            pairs.append((key, value, settings[key] ?? value))
        }
        for (name, old, new) in pairs where old != new {
            throw ProcessFailure(
                "the training in \(folder) began with \(name) \(old), not \(new): --resume needs the same settings; "
                    + "give them again, or train into another folder",
                exitCode: .badInput
            )
        }
    }

    /// Refuses a folder of another kind or of other data.
    ///
    /// - Throws: `ProcessFailure` with both values.
    func check(kind: String, dataset: PreparedDataset, folder: String) throws {
        guard self.kind == kind else {
            throw ProcessFailure(
                "\(folder) is the training of a \(self.kind), expected a \(kind)",
                exitCode: .badInput
            )
        }
        guard dataHash == dataset.dataHash else {
            throw ProcessFailure(
                "\(folder) was trained on data \(dataHash.prefix(12)), "
                    + "not on \(dataset.dataHash.prefix(12)): use the same prepared data set",
                exitCode: .badInput
            )
        }
    }
}
