internal import Foundation
internal import Bytes

extension Catalogue {
    /// Reads a catalogue from the bytes of a `catalogue.json`, as `CatalogueFile` does.
    ///
    /// - Parameters:
    ///   - bytes: all of the file.
    ///   - path: what an error calls the file.
    /// - Throws: `CatalogueError` naming the file, the item, the field and the value.
    public init(json bytes: [UInt8], file path: String) throws(CatalogueError) {
        self = try CatalogueFile(json: bytes, file: path).catalogue
    }

    /// Writes the catalogue as JSON, whole or not at all; the same catalogue gives the same bytes.
    ///
    /// - Throws: `CatalogueError` naming the file.
    public func write(to path: String) throws(CatalogueError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            try encoder.encode(self).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CatalogueError(file: path, reason: "cannot be written: \(FailureText.reason(error))")
        }
    }
}
