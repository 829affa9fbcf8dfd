import Bytes
import Foundation
import Messages
import Testing

@testable import UserModels

@Suite struct FusedBundleTests {
    private static let file = "adapter/fusion.json"
    private static let weights = FusionWeights(
        branches: [
            .init(languageModel: 0.75, encoder: 0.5), .init(languageModel: 0.1, encoder: 1.25),
            .init(languageModel: 1, encoder: 1.0 / 3),
        ],
        late: 0.7
    )

    private func withBundle(_ body: (_ folder: String, _ version: String) throws -> Void) throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "fused-\(UUID().uuidString)")
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

    private func message(_ folder: String) -> String {
        do throws(BundleError) {
            _ = try ModelBundle.load(folder)
            return "no error"
        } catch {
            return error.description
        }
    }

    @Test func weightsArePartOfTheBundleAndItsVersion() throws {
        try withBundle { folder, version in
            func files() throws -> [String: [UInt8]] {
                var files: [String: [UInt8]] = [:]
                for part in try ModelBundle.readManifest(folder).parts.keys where part != Self.file {
                    files[part] = [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(part)")))
                }
                return files
            }
            let before = try files()
            #expect(try ModelBundle.load(folder).fusion == nil)
            let fused = try ModelBundle.write(fusion: Self.weights, toBundle: folder)
            #expect(fused != version)
            let bundle = try ModelBundle.load(folder)
            #expect(bundle.version == fused && bundle.fusion == Self.weights)
            #expect(try files() == before)
            var other = Self.weights
            other.branches[2].encoder = 0.25
            let changed = try ModelBundle.write(fusion: other, toBundle: folder)
            #expect(changed != version && changed != fused)
            // Without them it is the bundle it was.
            #expect(try ModelBundle.write(fusion: nil, toBundle: folder) == version)
            #expect(try ModelBundle.load(folder).fusion == nil)
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/\(Self.file)"))
        }
    }

    @Test func aFusedBundleAnswersByItsWeights() throws {
        try withBundle { folder, _ in
            let model = try TinyWorld.model()
            let context = TinyWorld.context(model, of: ["a1", "d1"])
            let request = AnswerRequest(text: "Which title comes next?", form: .title, itemCount: 12)
            let plain = try ModelBundle.load(folder).makeAnsweringEngine(configuration: TinyWorld.exact)
            let alone = try TinyWorld.answering(model).answer(request, context: context)
            #expect(try plain.answer(request, context: context).items == alone.items)
            try ModelBundle.write(fusion: Self.weights, toBundle: folder)
            let fused = try ModelBundle.load(folder).makeAnsweringEngine(configuration: TinyWorld.exact)
            let expected = try TinyWorld.answering(model, fusion: Self.weights).answer(request, context: context)
            #expect(try fused.answer(request, context: context).items == expected.items)
            #expect(expected.items != alone.items)
            let given = try ModelBundle.load(folder)
                .makeAnsweringEngine(configuration: TinyWorld.exact, fusion: .languageModelAlone)
            #expect(try given.answer(request, context: context).items == alone.items)
        }
    }

    @Test func weightsThatCannotBeAreNotWritten() throws {
        try withBundle { folder, version in
            var wrong = Self.weights
            wrong.branches.append(.init(languageModel: 1, encoder: 1))
            #expect {
                try ModelBundle.write(fusion: wrong, toBundle: folder)
            } throws: {
                "\($0)".contains("fusion.branches is 4 pairs, expected from 1 to 3")
            }
            wrong = Self.weights
            wrong.branches[1].encoder = .nan
            #expect(throws: BundleError.self) { try ModelBundle.write(fusion: wrong, toBundle: folder) }
            let kept = try ModelBundle.load(folder)
            #expect(kept.version == version)
            #expect(throws: BundleError.missing(folder: "/nowhere/model")) {
                try ModelBundle.write(fusion: Self.weights, toBundle: "/nowhere/model")
            }
        }
    }

    /// The hashes are right, the content is not.
    @Test(arguments: [
        (#"{"branches":[]}"#, "fusion.branches is 0 pairs, expected from 1 to 3"),
        (
            #"{"branches":[{"languageModel":1,"encoder":1},{"languageModel":1,"encoder":1},"#
                + #"{"languageModel":1,"encoder":1},{"languageModel":1,"encoder":1}]}"#, "fusion.branches is 4 pairs"
        ),
        (#"{"branches":[{"languageModel":1e999,"encoder":1}]}"#, "adapter/fusion.json"),
        (#"{"branches":[{"languageModel":1,"encoder":-1}]}"#, "fusion.branches[0].encoder is -1.0, expected a number"),
        (#"{"branches":[{"languageModel":1,"encoder":1}],"late":1e9}"#, "fusion.late is 1000000000.0"),
        (#"{"branches":[{"languageModel":1}]}"#, "encoder"), (#"{"late":1}"#, "branches"), ("", "adapter/fusion.json"),
    ])
    func contentThatCannotBeIsNamed(_ json: String, _ expected: String) throws {
        try withBundle { folder, _ in
            try ModelBundle.write(fusion: Self.weights, toBundle: folder)
            try Data(json.utf8).write(to: URL(filePath: "\(folder)/\(Self.file)"))
            #expect(message(folder).contains("\(Self.file) of the model bundle"))
            #expect(message(folder).contains("was changed"))
            var manifest = try ModelBundle.readManifest(folder)
            manifest.parts[Self.file] = SHA256.hexDigest(of: Array(json.utf8))
            let sealed = try JSONEncoder().encode(BundleManifest(parts: manifest.parts))
            try sealed.write(to: URL(filePath: "\(folder)/bundle.json"))
            let message = message(folder)
            #expect(message.contains("\(Self.file) of the model bundle") && message.contains(expected), "\(message)")
            try FileManager.default.removeItem(atPath: "\(folder)/\(Self.file)")
            #expect(self.message(folder).contains("it has no \(Self.file)"))
        }
    }
}
