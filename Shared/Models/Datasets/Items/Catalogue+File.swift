internal import Bytes
public import Catalogues

extension Catalogue {
    /// Reads a catalogue from a JSON file, which may be compressed.
    ///
    /// A numeric id becomes its digits; an item without a title is called by its id.
    ///
    /// - Throws: `DatasetError` naming the file, the item, the field and the value.
    public init(contentsOf path: String) throws(DatasetError) { self = try KnownItems(catalogue: path).catalogue }
}

extension DatasetError {
    /// Converts an error about a catalogue.
    init(_ error: CatalogueError) {
        self.init(file: error.file, field: error.field, value: error.value, reason: error.reason)
    }

    /// Runs `body` and converts its catalogue errors to data set errors.
    static func naming<Value>(_ body: () throws(CatalogueError) -> Value) throws(DatasetError) -> Value {
        do { return try body() } catch { throw DatasetError(error) }
    }

    /// Runs `body`, which writes into a folder, and says so in errors that do not name a file themselves.
    static func writing(_ folder: String, _ body: () throws -> Void) throws(DatasetError) {
        do {
            try body()
        } catch let error as DatasetError {
            throw error
        } catch let error as CatalogueError {
            throw DatasetError(error)
        } catch {
            throw DatasetError(file: folder, reason: "cannot be written: \(FailureText.sentence(error))")
        }
    }
}
