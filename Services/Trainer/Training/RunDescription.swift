import Datasets
import Foundation
import JSON
import ServiceRuntime
import Bytes
import Tensors

/// The content of `run.json`: what is trained, on which data, and how.
struct RunDescription: Codable, Sendable, Equatable {
    /// What is trained, such as `encoder`.
    var kind: String
    /// Hash of the data set.
    var dataHash: String
    /// The seed of all randomness.
    var seed: UInt64
    /// The number of threads, on which the results depend.
    var threads: Int
    /// The precision of the factors in matrix products.
    var precision = Precision.float32
    /// The split into training, validation and test events.
    var evaluationProtocol = EvaluationProtocol.Name.leaveOneOut
    /// Every setting by key, including defaults.
    var settings: [String: String] = [:]

    private enum CodingKeys: String, CodingKey {
        case kind, dataHash, seed, threads, precision, settings
        case evaluationProtocol = "protocol"
    }

    /// Settings that may change when a run resumes.
    ///
    /// They only affect when to validate and when to stop, or where parts came from that are in the checkpoint. The
    /// precision is compared as it was resolved, not as it was requested.
    private static let free: Set<String> = [
        "validations", "patience", "minutes", "encoder-minutes", "language-model-minutes", "user-llm-minutes",
        "evaluated-users", "encoder", "language-model", "precision",
    ]

    /// Describes a training run.
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

    /// Decodes a description; values that earlier versions did not write get the default of that time.
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
    /// - Throws: `ProcessFailure` if the folder holds no training run, or the file is invalid.
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

    /// Writes it to a run's folder, which is created if missing.
    ///
    /// - Throws: if the file cannot be written.
    func write(to folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(self).write(to: URL(fileURLWithPath: folder + "/run.json"), options: .atomic)
    }

    /// Refuses to resume a run with other settings than it started with, because its results would belong to neither.
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

    /// Refuses a folder of another kind, or with other data.
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
