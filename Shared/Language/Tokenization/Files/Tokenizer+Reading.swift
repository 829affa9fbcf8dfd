public import Foundation
internal import JSON

extension Tokenizer {
    /// The ids that tokens may have: a limit far above any vocabulary, so that no file can exhaust the memory.
    static let ids: Range<Int64> = 0..<4_000_000
    /// Maximum number of merges; the largest vocabularies have 450,000.
    static let mostMerges = 4_000_000
    /// Maximum size of a file in bytes; the largest have 40 million.
    private static let largestFile = 256 << 20
    /// Maximum values in a file: the largest vocabularies (260,000 tokens, twice as many merges) have 2 million.
    private static let mostValues = 8_000_000

    /// Reads a `tokenizer.json`.
    ///
    /// - Parameter path: the file, or the folder that contains it.
    /// - Throws: `TokenizerError` when the file is missing, is not a tokenizer, or needs an unsupported feature, which
    ///   is named with its value.
    public convenience init(contentsOf path: String) throws(TokenizerError) {
        var isFolder: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        let file = isFolder.boolValue ? path + "/tokenizer.json" : path
        let data: Data
        do {
            let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
            defer { try? handle.close() }
            data = try handle.read(upToCount: Self.largestFile + 1) ?? Data()
        } catch {
            throw .file(path: file, reason: "cannot be read: \(error.localizedDescription)")
        }
        guard data.count <= Self.largestFile else {
            throw .file(path: file, reason: "has more than \(Self.largestFile) bytes, which no tokenizer has")
        }
        try self.init(json: data)
    }

    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// Its `truncation` and `padding`, which `transformers` replaces in each call, are ignored: texts are never cut or
    /// filled up here.
    ///
    /// - Throws: `TokenizerError` as `init(contentsOf:)`.
    public convenience init(json: Data) throws(TokenizerError) {
        guard json.count <= Self.largestFile else {
            throw .malformed(key: "file", reason: "has \(json.count) bytes, expected at most \(Self.largestFile)")
        }
        let root: JSONNode
        do throws(JSONError) {
            root = JSONNode(try JSONValue(parsing: Array(json), maximumCount: Self.mostValues), path: "")
        } catch {
            throw .malformed(key: error.field ?? "file", reason: "is not JSON that can be read: \(error.detail)")
        }
        try Self.checkDecoder(root["decoder"])
        let frame = try Self.frame(root["post_processor"])

        let model = root["model"]
        try model["type"].require("BPE", orMissing: true)
        for key in ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"] {
            try model[key].requireNull(orEmpty: true)
        }
        for key in ["byte_fallback", "fuse_unk"] { try model[key].requireFalse() }
        let added = try Self.addedTokens(root["added_tokens"])
        let vocabulary = try Self.vocabulary(model["vocab"], added: added)
        try self.init(
            tokenBytes: vocabulary.tokenBytes,
            merges: try Self.merges(model["merges"], vocabulary),
            addedTokens: added,
            normalizer: try Self.normalizer(root["normalizer"]),
            preTokenizer: try Self.preTokenizer(root["pre_tokenizer"]),
            frame: frame,
            ignoresMerges: try model["ignore_merges"].boolean(default: false)
        )
        for id in frame.before + frame.after where !hasToken(id) {
            throw .malformed(key: "post_processor", reason: "adds token \(id), which is in no vocabulary")
        }
    }
}
