import Bytes
import ModelFiles

extension ModelBundle {
    /// The shape of a model's user embeddings: enough to tell whether an embedding can come from it.
    public struct ContextShape: Sendable, Equatable {
        /// The bundle's version.
        public let version: String
        /// Number of vectors in a user's context.
        public let rows: Int
        /// Width of each vector, and of the pooled one.
        public let columns: Int
    }
}

extension ModelBundle.ContextShape {
    /// Reads the shape from a bundle without reading its weights.
    ///
    /// - Throws: `BundleError` when the folder is not a bundle, the file with the shape was altered, or a number in it is
    ///   out of range.
    public init(ofBundle folder: String) throws(BundleError) {
        let manifest = try ModelBundle.readManifest(folder)
        let file = ModelBundle.adapterConfiguration
        guard let expected = manifest.parts[file] else { throw .incomplete(folder: folder, file: file) }
        let found = SHA256.hexDigest(of: try ModelBundle.mapped(folder, file))
        guard found == expected else {
            throw .altered(folder: folder, file: file, expected: expected, found: found)
        }
        let adapter = try ModelBundle.decoded(UserAdapter.Configuration.self, folder, file)
        do {
            try adapter.validate()
        } catch {
            throw .unreadable(folder: folder, file: file, reason: error.description)
        }
        self.init(version: manifest.version, rows: adapter.perceiver.latents, columns: adapter.perceiver.width)
    }
}
