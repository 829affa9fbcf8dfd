import Datasets
import Foundation
import ServiceRuntime
import UserModels

/// `trainer export`: creates the model bundle that services load.
enum ExportCommand {
    private static let copy = ConfigurationKey<Bool>(
        "copy",
        default: false,
        help: "Copy a published language model's files; otherwise the bundle names their path, with their hashes"
    )

    static var command: Command {
        Command(
            "export",
            summary: "Write a trained User-LLM as the bundle that all services load",
            arguments: [
                CommandArgument("prepared", help: "The prepared data set it was trained on"),
                CommandArgument("run", help: "The folder of the User-LLM's training"),
                CommandArgument("bundle", help: "The folder to write"),
            ],
            keys: [copy],
            work: "export"
        ) { context in
            let (prepared, run) = (try context.required("prepared"), try context.required("run"))
            let folder = try context.required("bundle")
            let isCopied = try context.configuration.value(of: copy)
            return { _ in
                let bundle = try export(PreparedDataset(contentsOf: prepared), run: run, isCopied: isCopied, to: folder)
                var report = Report()
                report.add("bundle", folder)
                report.add("version", bundle.version)
                report.add(bundle.answers)
                return report
            }
        }
    }

    /// Writes a bundle and reads it back.
    ///
    /// - Parameters:
    ///   - dataset: the data set of the training.
    ///   - run: the folder of the training.
    ///   - isCopied: whether the files of a published language model are copied.
    ///   - folder: the bundle's folder.
    /// - Returns: the bundle as it was read back.
    /// - Throws: when the run is of another data set or its language model's files have changed; `BundleError`.
    static func export(
        _ dataset: PreparedDataset,
        run: String,
        isCopied: Bool = false,
        to folder: String
    ) throws -> ModelBundle {
        var (model, files) = try RunFolder.userLLM(run, dataset: dataset)
        if isCopied, case .named(let path) = files { files = .copied(from: path) }
        _ = try ModelBundle.write(
            encoder: model.encoder,
            adapter: model.adapter,
            languageModel: files,
            catalogue: dataset.catalogue,
            chatTemplate: RunFolder.chatTemplate(run, dataset: dataset),
            to: folder
        )
        return try ModelBundle.load(folder)
    }
}

extension Report {
    /// Adds how many items are never an answer, and how many are never the only one.
    mutating func add(_ answers: KnownAnswers) {
        add("items_never_answered", answers.untitledItemCount)
        add("items_of_shared_titles", answers.sharedTitleItemCount)
    }
}
