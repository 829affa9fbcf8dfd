import Foundation
import ModelFiles
import Testing
import Tokenization
import UserModels

@testable import Trainer

/// A model of `Fixtures/LanguageModels/gguf`, as its makers publish it.
func publishedGGUF(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/LanguageModels/gguf/\(name)/model.gguf").path
}

@Suite struct ImportModelTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "import-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    /// In Float32 nothing is rounded: the folder is the file with other names.
    @Test(arguments: ["llama-mixed", "qwen2-q4_0", "qwen3-q4_1", "llama-k-types"])
    func aGGUFFileIsWrittenAsAFolder(name: String) throws {
        try withFolder { folder in
            let file = try LanguageModelSource.open(publishedGGUF(name))
            let report = try ImportModelCommand.run(publishedGGUF(name), folder + "/out", .float32)
            let written = try LanguageModelSource.open(folder + "/out")
            #expect(written.configuration == file.configuration)
            #expect(Set(written.tensorNames) == Set(file.tensorNames) && !file.tensorNames.isEmpty)
            for tensor in file.tensorNames {
                let (wanted, found) = (try file.tensor(tensor), try written.tensor(tensor))
                #expect(found.values(rows: 0..<found.rows) == wanted.values(rows: 0..<wanted.rows), "\(tensor)")
            }
            let text = "A caf\u{E9}, 12 times <|im_end|>"
            let (wanted, found) = (try #require(try file.tokenizer()), try #require(try written.tokenizer()))
            for marks in [false, true] {
                let ids = found.encode(text, matchesAddedTokens: marks)
                #expect(ids == wanted.encode(text, matchesAddedTokens: marks) && !ids.isEmpty)
            }
            #expect(written.text.chatTemplate == file.text.chatTemplate && file.text.chatTemplate != nil)
            #expect(Set(written.text.endIDs) == Set(file.text.endIDs))
            #expect("\(report)".contains(file.configuration.family.rawValue))
        }
    }

    /// A folder's configuration can say what Llama 3's models have, and this file has another original length.
    @Test func scalingThatAFolderCannotSayIsNamed() throws {
        try withFolder { folder in
            var message = "no error"
            do {
                _ = try ImportModelCommand.run(publishedGGUF("llama-scaled-q8_0"), folder + "/out", .float32)
            } catch {
                message = "\(error)"
            }
            #expect(message.contains("rope_freqs.weight is other divisors than Llama 3's"))
            #expect(!FileManager.default.fileExists(atPath: folder + "/out"))
        }
    }

    private func object(_ report: Report) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
    }

    /// Whether a bundle can be made of what was written, and if not, what is to be done.
    @Test func theReportSaysWhetherThereIsATokenizer() throws {
        try withFolder { folder in
            let (first, out) = ("\(folder)/first", "\(folder)/out")
            let whole = try object(try ImportModelCommand.run(publishedGGUF("qwen2-q4_0"), first, .stored))
            #expect(whole["tokenizer"] as? Bool == true && whole["tokenizer_advice"] == nil)
            let readable = try String(contentsOfFile: "\(first)/tokenizer.json", encoding: .utf8)
            try FileManager.default.removeItem(atPath: "\(first)/tokenizer.json")
            try "{}".write(toFile: "\(first)/vocab.json", atomically: true, encoding: .utf8)
            let without = try object(try ImportModelCommand.run(first, out, .stored))
            #expect(without["tokenizer"] as? Bool == false)
            #expect(
                (without["tokenizer_advice"] as? String)?.contains(
                    "tokenizer.json, which AutoTokenizer.from_pretrained(\"\(out)\").save_pretrained("
                ) == true
            )
            #expect(FileManager.default.fileExists(atPath: "\(out)/vocab.json"))
            try FileManager.default.removeItem(atPath: out)
            try readable.replacing(#""type": "BPE""#, with: #""type": "Unigram""#)
                .write(toFile: "\(first)/tokenizer.json", atomically: true, encoding: .utf8)
            let other = try object(try ImportModelCommand.run(first, out, .stored))
            #expect(other["tokenizer"] as? Bool == false)
            #expect((other["tokenizer_advice"] as? String)?.contains("model.type is Unigram") == true)
        }
    }

    @Test func anExistingFolderIsKept() throws {
        try withFolder { folder in
            #expect(throws: (any Error).self) {
                _ = try ImportModelCommand.run(publishedGGUF("qwen2-q4_0"), folder, .stored)
            }
            let files = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(files.isEmpty)
        }
    }
}
