internal import Foundation

extension Catalogue {
    /// Reads a catalogue from a JSON file.
    ///
    /// - Throws: `DatasetError` naming the file and what is wrong with it.
    public init(contentsOf path: String) throws(DatasetError) {
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch var error as DatasetError {
            error.file = path
            throw error
        } catch {
            throw DatasetError(file: path, reason: "cannot be read as a catalogue: \(error.localizedDescription)")
        }
    }

    /// Writes the catalogue as JSON, whole or not at all; the same catalogue gives the same bytes.
    ///
    /// - Throws: `DatasetError` naming the file.
    public func write(to path: String) throws(DatasetError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            try encoder.encode(self).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw DatasetError(file: path, reason: "cannot be written: \(error.localizedDescription)")
        }
    }
}
