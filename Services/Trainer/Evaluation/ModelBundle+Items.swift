import Catalogues
import Datasets
import ServiceRuntime
import UserModels

extension ModelBundle {
    /// Refuses a data set of other items: the numbers of its items would mean others here.
    ///
    /// - Throws: `ProcessFailure` with the number of items of both.
    func checkItems(of dataset: PreparedDataset) throws {
        guard catalogue == dataset.catalogue else {
            throw ProcessFailure(
                "the bundle \(version) knows \(catalogue.count) items, and they are not the "
                    + "\(dataset.catalogue.count) of the data set: give the data set it was trained on",
                exitCode: .badInput
            )
        }
    }
}

extension KnownAnswers {
    /// Refuses a catalogue in which there is no choice between titles.
    ///
    /// - Throws: `ProcessFailure` with the number of items and of titles.
    func checkTrainable(_ catalogue: Catalogue) throws {
        guard titles.leafCount < 2 else { return }
        throw ProcessFailure(
            "nothing can be learnt: the \(catalogue.count) items of the catalogue have \(titles.leafCount) titles between "
                + "them that are an answer, expected at least 2; prepare a data set whose titles differ",
            exitCode: .badInput
        )
    }
}
