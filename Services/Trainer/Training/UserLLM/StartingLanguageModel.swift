import Datasets
import Foundation
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tokenization
import UserModels

/// The language model that a User-LLM's training begins with: a published one, or one of a training run.
struct StartingLanguageModel {
    let model: LanguageModel
    let tokenizer: Tokenizer
    let format: PromptFormat
    /// The files it was read from; nil for a model of a training run.
    let published: PublishedModel?

    /// Reads a language model.
    ///
    /// - Parameters:
    ///   - path: a GGUF file, a folder in Hugging Face's format, or the folder of a training run.
    ///   - chatTemplate: the name of a chat template to use in place of the files' own; nil for that.
    ///   - dataset: what the training run has to be of.
    /// - Throws: what says why the model cannot be read, or cannot be trained here.
    init(_ path: String, chatTemplate: String?, dataset: PreparedDataset) throws {
        if FileManager.default.fileExists(atPath: path + "/run.json") {
            if let chatTemplate {
                throw ProcessFailure(
                    "--chat-template \(chatTemplate) is for published language models, and \(path) is a training run",
                    exitCode: .badInput
                )
            }
            (model, tokenizer) = try RunFolder.languageModel(path, dataset: dataset)
            format = try PromptFormat(tokenizer: tokenizer)
            published = nil
            return
        }
        let files = try PublishedModel(path: path, chatTemplate: chatTemplate)
        let source = try LanguageModelSource.open(path)
        (tokenizer, format) = try files.text(of: source)
        model = try naming(path) { try LanguageModel(source) }
        published = files
    }

    /// What a checkpoint says about the language model that its training began with.
    private struct Beginning: Decodable {
        var published: PublishedModel?
    }

    /// Refuses to go on with a training that began with other files at the same path.
    ///
    /// Whatever else differs is found when the checkpoint is read, and would be named as a setting that nobody changed.
    /// Another tokenizer would not be found at all.
    ///
    /// - Throws: `ProcessFailure` naming the language model or the tokenizer.
    func checkResumes(_ options: TrainingOptions) throws {
        let last = options.folder + "/last"
        guard options.resumes, FileManager.default.fileExists(atPath: last) else { return }
        if let published {
            let begun = try Checkpoint(folder: last).configuration(as: Beginning.self).published
            if let begun, begun.path == published.path { try begun.check(published.contents) }
            return
        }
        let path = options.folder + "/tokenizer.json"
        let begun = FileManager.default.contents(atPath: path)
        guard let begun, begun != Data(tokenizer.json().utf8) else { return }
        throw ProcessFailure(
            "the training in \(options.folder) began with the tokenizer \(path), which is not the one of --language-model "
                + "any more: give the language model that it began with, or train into another folder",
            exitCode: .badInput
        )
    }
}

/// The files of a published language model, as a checkpoint names them in place of their weights.
struct PublishedModel: Codable, Sendable, Equatable {
    /// The GGUF file, or the folder.
    var path: String
    /// A hash of the files' contents.
    var contents: String
    /// The name of the chat template; nil for the one in the files.
    var chatTemplate: String?

    /// Names the files as they are now.
    init(path: String, chatTemplate: String?) throws {
        self.path = URL(filePath: path).standardizedFileURL.path
        self.chatTemplate = chatTemplate
        contents = try LanguageModelSource.open(path).contentHash()
    }

    /// Opens the files, which have to be those that were named.
    ///
    /// - Throws: `ProcessFailure` when they have changed.
    func open() throws -> LanguageModelSource {
        let source = try LanguageModelSource.open(path)
        try check(source.contentHash())
        return source
    }

    /// Refuses files with another hash.
    ///
    /// - Throws: `ProcessFailure` with both hashes.
    func check(_ found: String) throws {
        guard found != contents else { return }
        throw ProcessFailure(
            "the language model \(path) is not the one that was trained on: its hash is \(found), expected \(contents); "
                + "put the former files back, or train again",
            exitCode: .badInput
        )
    }

    /// The tokenizer and the format of questions.
    func text(of source: LanguageModelSource) throws -> (Tokenizer, PromptFormat) {
        guard let tokenizer = try source.tokenizer() else {
            throw ProcessFailure(
                "\(path) has no tokenizer that is read here: give \(source.tokenizerAdvice)",
                exitCode: .badInput
            )
        }
        do {
            return (tokenizer, try PromptFormat(tokenizer: tokenizer, text: source.text, template: chatTemplate))
        } catch {
            throw ProcessFailure("\(path): \(error)", exitCode: .badInput)
        }
    }
}

/// The result of `body`; a configuration that is out of range is named with its file.
private func naming<Value>(_ path: String, _ body: () throws -> Value) throws -> Value {
    do {
        return try body()
    } catch let error as ModelConfigurationError {
        throw ProcessFailure("\(path): \(error)", exitCode: .badInput)
    }
}
