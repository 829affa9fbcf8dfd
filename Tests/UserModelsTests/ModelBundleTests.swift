import Catalogues
import Foundation
import Bytes
import Messages
import ModelFiles
import NeuralNetwork
import Testing
import UserModels

@Suite struct ModelBundleTests {
    /// Writes a bundle into a folder of its own, gives its path to `body`, and takes everything away.
    private func withBundle(_ body: (_ folder: String, _ version: String) throws -> Void) throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "bundle-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: parent) }
        let folder = parent.appending(path: "model").path
        let version = try ModelBundle.write(
            model: TinyWorld.model(),
            tokenizer: TinyWorld.tokenizer(),
            catalogue: TinyWorld.catalogue,
            to: folder
        )
        try body(folder, version)
    }

    private func failure(_ folder: String) -> BundleError? {
        do throws(BundleError) {
            _ = try ModelBundle.load(folder)
            return nil
        } catch {
            return error
        }
    }

    @Test func comesBackAsItWasWritten() throws {
        try withBundle { folder, version in
            let bundle = try ModelBundle.load(folder)
            let model = try TinyWorld.model()
            #expect(bundle.version == version && version.count == 16)
            #expect(bundle.catalogue == TinyWorld.catalogue)
            #expect(bundle.configuration == model.configuration)
            let trainable = try bundle.makeTrainableModel()
            #expect(TinyWorld.bits(trainable.parameters) == TinyWorld.bits(model.parameters))
            #expect(trainable.parameters.allSatisfy { !$0.isTrainable })
            #expect(bundle.timelineLength == 8 && bundle.contextRows == 4 && bundle.contextColumns == 16)
            let encoded = try bundle.makeEncodingEngine(threads: 2).encode([TinyWorld.timeline(["a1", "c1"])])[0]
            #expect(encoded.context.count == 64 && encoded.pooled.count == 16)
            let answer = try bundle.makeAnsweringEngine().answer(
                AnswerRequest(text: "What will the user watch next?", form: .title),
                context: UserContext(encoded)
            )
            #expect(answer.items.count == 10)
            // The engine reads the weights as the model in memory has them.
            let exact = try bundle.makeAnsweringEngine(configuration: TinyWorld.exact)
            let request = AnswerRequest(text: "Which title comes next?", form: .title, itemCount: 12)
            let expected = try TinyWorld.answering(model).answer(request, context: UserContext(encoded))
            #expect(try exact.answer(request, context: UserContext(encoded)).items == expected.items)
            #expect(throws: ModelConfigurationError.self) { try bundle.makeEncodingEngine(threads: 0) }
        }
    }

    @Test func versionIsMadeOfTheParts() throws {
        try withBundle { folder, version in
            let again = try ModelBundle.write(
                model: TinyWorld.model(),
                tokenizer: TinyWorld.tokenizer(),
                catalogue: TinyWorld.catalogue,
                to: folder
            )
            #expect(again == version)
            let other = try ModelBundle.write(
                model: TinyWorld.model(seed: 2),
                tokenizer: TinyWorld.tokenizer(),
                catalogue: TinyWorld.catalogue,
                to: folder
            )
            #expect(other != version)
            #expect(try ModelBundle.load(folder).version == other)
        }
    }

    @Test func folderThatIsNotThereIsNamed() {
        #expect(failure("/nowhere/model") == .missing(folder: "/nowhere/model"))
    }

    @Test(arguments: [
        "bundle.json", "catalogue.json", "encoder/config.json", "encoder/model.safetensors", "adapter/config.json",
        "adapter/model.safetensors", "language-model/config.json", "language-model/model.safetensors",
        "language-model/tokenizer.json",
    ])
    func missingCutOrChangedFileIsNamed(file: String) throws {
        try withBundle { folder, _ in
            let url = URL(filePath: "\(folder)/\(file)")
            let whole = try Data(contentsOf: url)
            try FileManager.default.removeItem(at: url)
            #expect(failure(folder) == .incomplete(folder: folder, file: file))
            try whole.prefix(whole.count / 2).write(to: url)
            #expect("\(try #require(failure(folder)))".contains(file))
            var changed = whole
            changed[changed.startIndex + whole.count / 2] ^= 1
            try changed.write(to: url)
            // A changed manifest names the file whose hash it has wrong.
            let message = "\(try #require(failure(folder)))"
            #expect(message.contains(file) || file == "bundle.json")
            try whole.write(to: url)
            #expect(failure(folder) == nil)
        }
    }

    @Test func otherFormatIsRefused() throws {
        try withBundle { folder, _ in
            let url = URL(filePath: "\(folder)/bundle.json")
            let text = try String(contentsOf: url, encoding: .utf8)
            try text.replacing("\"format\" : 1", with: "\"format\" : 2").write(
                to: url,
                atomically: true,
                encoding: .utf8
            )
            #expect("\(try #require(failure(folder)))".contains("format is 2, this program reads 1"))
        }
    }

    @Test func partsThatDoNotFitAreNotWritten() throws {
        try withBundle { folder, version in
            let fewer = try Catalogue(items: Array(TinyWorld.catalogue.items.prefix(5)))
            #expect {
                try ModelBundle.write(
                    model: TinyWorld.model(),
                    tokenizer: TinyWorld.tokenizer(),
                    catalogue: fewer,
                    to: folder
                )
            } throws: {
                "\($0)".contains("encoder.itemCount is 12, expected the catalogue's 5 items")
            }
            #expect(try ModelBundle.load(folder).version == version)
        }
    }
}
