internal import Foundation
internal import Bytes

extension Catalogue {
    /// Reads a catalogue from a JSON file.
    ///
    /// An id that is a number is its digits; an item without a title is called by its id.
    ///
    /// - Throws: `DatasetError` naming the file, the item, the field and the value.
    public init(contentsOf path: String) throws(DatasetError) { self = try KnownItems(catalogue: path).catalogue }

    /// Writes the catalogue as JSON, whole or not at all; the same catalogue gives the same bytes.
    ///
    /// - Throws: `DatasetError` naming the file.
    public func write(to path: String) throws(DatasetError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            try encoder.encode(self).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw DatasetError(file: path, reason: "cannot be written: \(FailureText.reason(error))")
        }
    }
}
