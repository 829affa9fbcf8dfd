import Datasets
import Foundation
import ServiceRuntime
import UserModels

/// `trainer export`: creates the model bundle that services load.
enum ExportCommand {
    static var command: Command {
        Command(
            "export",
            summary: "Write a trained User-LLM as the bundle that all services load",
            arguments: [
                CommandArgument("prepared", help: "The prepared data set it was trained on"),
                CommandArgument("run", help: "The folder of the User-LLM's training"),
                CommandArgument("bundle", help: "The folder to write"),
            ],
            keys: [],
            work: "export"
        ) { context in
            let (prepared, run) = (try context.required("prepared"), try context.required("run"))
            let folder = try context.required("bundle")
            return { _ in
                let bundle = try export(PreparedDataset(contentsOf: prepared), run: run, to: folder)
                var report = Report()
                report.add("bundle", folder)
                report.add("version", bundle.version)
                return report
            }
        }
    }

    /// Writes a bundle and reads it back.
    static func export(_ dataset: PreparedDataset, run: String, to folder: String) throws -> ModelBundle {
        let (model, tokenizer) = try RunFolder.userLLM(run, dataset: dataset)
        _ = try ModelBundle.write(model: model, tokenizer: tokenizer, catalogue: dataset.catalogue, to: folder)
        return try ModelBundle.load(folder)
    }
}
