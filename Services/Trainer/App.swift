import ServiceRuntime
import Tensors

/// `trainer`: from a data set to a model bundle.
@main
struct App {
    static func main() async {
        // Before any computation: the process may restart itself with other settings of the matrix library.
        ComputeRuntime.prepare()
        await Program(
            "trainer",
            summary: "Trains the models: from a data set to the bundle that all services load.",
            commands: [
                SynthesizeCommand.command,
                PrepareCommand.command,
                TrainEncoderCommand.command,
                TrainLanguageModelCommand.command,
                TrainUserLLMCommand.command,
                FuseCommand.command,
                TrainTextPromptCommand.command,
                EvaluateEncoderCommand.command,
                EvaluateUserLLMCommand.command,
                EvaluateTextPromptCommand.command,
                EvaluateWorldCommand.command,
                EncodeCommand.command,
                EfficiencyCommand.command,
                ReportCommand.command,
                ExportCommand.command,
                BundleCommand.command,
                ImportModelCommand.command,
                AllCommand.command,
            ]
        ).main()
    }
}
