import Datasets
import Bytes
import Foundation
import NeuralNetwork
import Tensors
import Tokenization

@testable import UserModels

/// The files of a model bundle, as whoever can write one makes them: hashes and version are right, nothing else.
enum BundleTargets {
    static let all = [safetensors, tokenizer, bundle]

    private static let files = [
        "catalogue.json", "encoder/config.json", "encoder/model.safetensors", "adapter/config.json",
        "adapter/model.safetensors", "language-model/config.json", "language-model/model.safetensors",
        "language-model/tokenizer.json", "adapter/fusion.json",
    ]

    private static let configurationWords = [
        "rope_parameters", "rope_theta", "rope_type", "default", "llama3", "rope_scaling", "torch_dtype", "dtype",
        "float32", "head_dim", "num_key_value_heads", "tie_word_embeddings", "sliding_window", "layer_types",
        "attention_bias", "partial_rotary_factor", "quantization_config", "autoregressive", "hstu", "concatenate",
        "add", "branches", "languageModel", "late",
        "normalized", "1000000000", "1000000000000",
    ]

    /// The bytes of a bundle's files, as they are written.
    private static let written: [String: [UInt8]] = {
        let folder = ScratchFolder.path + "/written"
        do {
            try ModelBundle.write(
                model: Examples.model(),
                tokenizer: Examples.tokenizer(),
                catalogue: Examples.catalogue(),
                to: folder
            )
            let pair = FusionWeights.Pair(languageModel: 0.75, encoder: 0.5)
            try ModelBundle.write(fusion: FusionWeights(branches: [pair, pair], late: 0.5), toBundle: folder)
            let bytes = try files.map { Array(try Data(contentsOf: URL(filePath: "\(folder)/\($0)"))) }
            return Dictionary(uniqueKeysWithValues: zip(files, bytes))
        } catch {
            preconditionFailure("the bundle of the seeds was not written: \(error)")
        }
    }()

    private static let safetensors = FuzzTarget(
        name: "safetensors",
        longest: 4_096,
        seeds: {
            let path = ScratchFolder.path + "/seed.safetensors"
            let tensors = [NamedTensor("a", Tensor([1, 2], shape: [1, 2])), NamedTensor("b", Tensor([3], shape: []))]
            try SafeTensors.write(tensors, metadata: ["format": "pt"], to: path)
            return [Array(try Data(contentsOf: URL(filePath: path)))]
        },
        words: ["F16", "BF16", "I64", "__metadata__", "data_offsets", "shape", "dtype", "9223372036854775807", "-1"],
        run: { bytes in
            try ScratchFolder.write("model.safetensors", bytes)
            let file = try SafeTensors(path: ScratchFolder.path + "/model.safetensors")
            for name in file.names {
                let tensor = try file.weight(name)
                expect(tensor.isFinite && tensor.shape == file.shape(of: name), "\(name) is not what the header says")
            }
            try file.load(into: [NamedTensor("a", Tensor(shape: [1, 2])), NamedTensor("b", Tensor(shape: []))])
        }
    )

    /// A tokenizer, and what it does to a text.
    private static let tokenizer = FuzzTarget(
        name: "tokenizer",
        longest: 32_768,
        seeds: { [Array(try Examples.tokenizer().json().utf8)] },
        words: RecordTargets.jsonWords + [
            "vocab", "merges", "added_tokens", "Regex", "(?:a+)+$", "\\p{L}+", "(?R)", "4000000",
        ],
        run: { bytes in
            let tokenizer = try Tokenizer(json: Data(bytes))
            let text = "Star Dust  12 'll caf\u{E9} cafe\u{301} \u{1F600} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! <|end|>"
            for marks in [false, true] {
                let ids = tokenizer.encode(text, matchesAddedTokens: marks)
                let all = ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize }
                expect(all, "a token is out of range: \(ids) of \(tokenizer.vocabularySize)")
                _ = tokenizer.decode(ids)
            }
        }
    )

    /// One file of a bundle is the input, sealed again: the first byte says which.
    private static let bundle = FuzzTarget(
        name: "bundle",
        longest: 32_768,
        seeds: { files.indices.map { index in [UInt8(index)] + (written[files[index]] ?? []) } },
        words: RecordTargets.jsonWords + configurationWords,
        run: { bytes in
            guard let first = bytes.first else { return }
            let changed = files[Int(first) % files.count]
            var parts: [String: String] = [:]
            for folder in ["encoder", "adapter", "language-model"] { mkdir("\(ScratchFolder.path)/\(folder)", 0o700) }
            for file in files {
                let content = file == changed ? Array(bytes.dropFirst()) : written[file] ?? []
                try ScratchFolder.write(file, content)
                parts[file] = SHA256.hexDigest(of: content)
            }
            let manifest = Array(try JSONEncoder().encode(BundleManifest(parts: parts)))
            try ScratchFolder.write(BundleManifest.file, manifest)
            let bundle = try ModelBundle.load(ScratchFolder.path)
            let model = try bundle.makeTrainableModel()
            expect(model.parameters.allSatisfy(\.value.isFinite), "a weight is not finite")
            _ = try bundle.makeAnsweringEngine()
        }
    )
}
