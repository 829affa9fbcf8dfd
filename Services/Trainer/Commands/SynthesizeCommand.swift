import Catalogues
import Datasets
import Foundation
import ServiceRuntime

/// `trainer synthesize`: writes a synthetic world as a data set.
enum SynthesizeCommand {
    private static let films = ConfigurationKey<Int>("films", default: 320, help: "How many films there are")
    private static let viewers = ConfigurationKey<Int>("viewers", default: 2_000, help: "How many viewers there are")

    static var command: Command {
        Command(
            "synthesize",
            summary: "Write an invented world of films and viewers as a data set, with the truth beside it",
            arguments: [CommandArgument("folder", help: "The folder to write; made when it is missing")],
            keys: [TrainerKeys.seed, films, viewers],
            work: "synthesis"
        ) { context in
            let reader = context.configuration
            let folder = try context.required("folder")
            let configuration = SyntheticWorld.Configuration(
                seed: try reader.value(of: TrainerKeys.seed),
                filmCount: try reader.value(of: films),
                viewerCount: try reader.value(of: viewers)
            )
            return { _ in
                let world = try SyntheticWorld(configuration)
                try world.write(to: folder)
                var report = Report()
                report.add("folder", folder)
                report.add("films", world.catalogue.count)
                report.add("viewers", world.configuration.viewerCount)
                report.add("seed", world.configuration.seed)
                return report
            }
        }
    }
}
