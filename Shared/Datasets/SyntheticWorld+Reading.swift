internal import Foundation

extension SyntheticWorld {
    /// Makes the world again that `write(to:)` wrote into a folder.
    ///
    /// - Throws: `DatasetError` when the folder holds no synthetic world.
    public init(folder: String) throws(DatasetError) {
        let file = folder + "/world.json"
        let configuration: Configuration
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: file))
            configuration = try JSONDecoder().decode(Configuration.self, from: data)
        } catch {
            throw DatasetError(
                file: file,
                reason:
                    "is not that of a synthetic world, make one with `trainer synthesize`: \(error.localizedDescription)"
            )
        }
        try self.init(configuration)
    }
}
