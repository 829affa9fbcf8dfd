import Foundation
import JSON
import LanguageEngine
import ModelFiles
import Tensors
import Testing

/// Logits of `transformers`, for models made by `Fixtures/LanguageModels/make_fixtures.py`.
@Suite struct GoldenModelTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/LanguageModels")

    static func models(_ kind: String) -> [String] {
        let found = try? FileManager.default.contentsOfDirectory(atPath: folder.appending(path: kind).path)
        return (found ?? []).sorted()
    }

    private struct Golden: Decodable {
        var tokens: [[Int32]]
    }

    /// The worst difference of a model's logits to the golden ones, with one text at a time and in pieces.
    private func worst(_ path: URL, model: URL, format: WeightFormat) throws -> Double {
        let golden = try JSONValue.decode(Golden.self, from: Data(contentsOf: path.appending(path: "golden.json")))
        let expected = try SafeTensors(path: path.appending(path: "logits.safetensors").path)
        let source = try LanguageModelSource.open(model.path)
        let weights = try LanguageModelWeights(source, format: format, threads: 2)
        let harness = try RunnerHarness(weights: weights, adapter: nil, cache: .float32)
        var worst = 0.0
        for (index, tokens) in golden.tokens.enumerated() {
            let rows = try expected.tensor("logits.\(index)")
            let logits = stride(from: 0, to: rows.count, by: rows.width).map { start in
                rows.values[start..<start + rows.width].map(Double.init)
            }
            let found = try harness.logits(.init(tokens: tokens))
            worst = max(worst, difference(found, logits))
        }
        return worst
    }

    @Test func everyFamilyHasAFixture() {
        for family in LanguageModelConfiguration.Family.allCases {
            #expect(Self.models("tiny").contains { $0.hasPrefix(family.rawValue) }, "\(family)")
            #expect(Self.models("gguf").contains { $0.hasPrefix(family.rawValue) }, "\(family)")
        }
    }

    @Test(arguments: models("tiny"))
    func logitsOfAFolderAreTransformers(_ name: String) throws {
        let path = Self.folder.appending(path: "tiny/\(name)")
        let worst = try worst(path, model: path, format: .float32)
        print("\(name): worst difference \(worst)")
        #expect(worst < 1e-4)
        // What is stored in 16 bits and computed from them, without rounding activations.
        #expect(try self.worst(path, model: path, format: .stored) < 0.5)
    }

    @Test(arguments: models("gguf"))
    func logitsOfAGGUFFileAreTransformers(_ name: String) throws {
        let path = Self.folder.appending(path: "gguf/\(name)")
        let model = path.appending(path: "model.gguf")
        let worst = try worst(path, model: model, format: .float32)
        let stored = try self.worst(path, model: model, format: .stored)
        print("\(name): worst difference \(worst), with the weights as they are stored \(stored)")
        #expect(worst < 1e-4)
        // Activations are rounded to int8 then.
        #expect(stored < 0.5)
    }
}
