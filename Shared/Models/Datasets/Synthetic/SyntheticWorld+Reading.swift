internal import Foundation
internal import Files
internal import JSON

extension SyntheticWorld {
    /// Recreates the world that `write(to:)` wrote into a folder.
    ///
    /// - Throws: `DatasetError` when the folder does not hold a synthetic world.
    public init(folder: String) throws(DatasetError) {
        let file = folder + "/world.json"
        let configuration: Configuration
        do {
            let data = try InputFile.contents(of: file, limit: 1 << 20)
            configuration = try JSONValue.decode(Configuration.self, from: Data(data), maximumCount: 1_000)
        } catch {
            throw DatasetError(
                file: file,
                reason:
                    "is not that of a synthetic world, make one with `trainer synthesize`: "
                    + ((error as? InputFileError)?.reason ?? JSONError.reason(error))
            )
        }
        try self.init(configuration)
    }
}
