import Datasets
import Foundation
import Bytes
import NeuralNetwork
import ServiceRuntime
import Testing
import UserModels

@testable import Trainer

@Suite("Evaluation protocols")
struct EvaluationProtocolTests {
    private func histories(
        _ counts: [Int],
        _ name: EvaluationProtocol.Name,
        length: Int = 5,
        validationUsers: Int = 0
    ) throws -> Histories {
        Histories(
            try World.dataset(eventCounts: counts),
            features: EventFeatures.Configuration(),
            evaluationProtocol: EvaluationProtocol(name, length: length),
            validationUsers: validationUsers
        )
    }

    @Test func leaveOneOutTrainsOnAllButTheLastTwoEvents() throws {
        let histories = try histories([9, 3, 2, 1], .leaveOneOut)
        #expect(histories.trainingCounts == [7, 1, 2, 1])
        #expect(histories.evaluatedUsers == [0, 1])
        #expect(histories.target(.test, user: 0) == 8 && histories.target(.validation, user: 0) == 7)
        // What validates and tests is no part of what is popular in training.
        #expect(histories.itemCounts.reduce(0, +) == 11)
    }

    @Test func theWindowProtocolLeavesOutUsersWithoutAFullWindow() throws {
        let histories = try histories([9, 7, 6, 1], .window)
        #expect(histories.trainingCounts == [7, 5, 0, 0])
        #expect(histories.evaluatedUsers == [0, 1])
        #expect(histories.itemCounts.reduce(0, +) == 12)
        for user in histories.evaluatedUsers {
            for split in Split.allCases {
                let target = histories.target(split, user: user)
                #expect(histories.before(target, user: user, length: 5).count == 5)
            }
        }
    }

    @Test func theWindowProtocolTrainsOnEveryWindowOnce() throws {
        var schedule = try histories([9, 7, 6, 1], .window).schedule(length: 5, seed: 3)
        // User 0 trains with 7 events: two windows of 5 and what comes next. User 1 trains with one window and no more.
        let expected: Set<[Int]> = [[0, 0, 6], [0, 1, 7], [1, 0, 5]]
        for epoch in 0..<4 {
            let windows = schedule.windows(epoch * 3..<(epoch + 1) * 3)
            #expect(Set(windows.map { [$0.user, $0.range.lowerBound, $0.range.upperBound] }) == expected)
        }
    }

    @Test func someUsersValidateSpreadOverAll() throws {
        let counts = [Int](repeating: 4, count: 10)
        #expect(try histories(counts, .leaveOneOut).validatedUsers == Array(0..<10))
        #expect(try histories(counts, .leaveOneOut, validationUsers: 3).validatedUsers == [0, 3, 6])
        #expect(try histories(counts, .leaveOneOut, validationUsers: 99).validatedUsers == Array(0..<10))
    }

    @Test func aDataSetWithNothingToPredictIsRefused() throws {
        let none = #expect(throws: ProcessFailure.self) { try histories([1, 2, 1], .leaveOneOut).checkTrainable() }
        let reason = "a user needs 3 events, and the longest history of the data set's 3 users has 2"
        #expect(none?.description.contains(reason) == true)
        #expect(none?.exitCode == .badInput)
        let short = #expect(throws: ProcessFailure.self) { try histories([6, 6], .window).checkTrainable() }
        #expect(short?.description.contains("a user needs 7 events") == true)
        #expect(short?.description.contains("--length") == true)
        let unlearnt = #expect(throws: ProcessFailure.self) { try histories([3, 3, 1], .leaveOneOut).checkTrainable() }
        #expect(unlearnt?.description.contains("none of the data set's 3 users has two events that train") == true)
        try histories([4, 1], .leaveOneOut).checkTrainable()
    }

    @Test func usersWithOneEventNeitherTrainNorAreAskedAbout() throws {
        let dataset = try World.dataset(eventCounts: [1, 12, 1, 9, 1])
        let folder = FileManager.default.temporaryDirectory.appending(path: "trainer-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let options = TrainingOptions(
            budget: .steps(3),
            learningRate: 1e-3,
            weightDecay: 0,
            warmUpSteps: 0,
            validations: 1,
            threads: 2,
            seed: 1,
            folder: folder,
            resumes: false
        )
        let outcome = try TrainEncoderCommand.train(
            dataset,
            .init(options: options, batchCount: 4, width: 16, layers: 1, length: 8),
            until: Shutdown()
        )
        #expect(outcome.steps == 3)
        let encoder = try RunFolder.encoder(folder, dataset: dataset)
        let histories = Histories(dataset, features: encoder.configuration.features)
        let ranks = EncoderEvaluation(encoder: encoder, histories: histories, threads: 2).ranks(.test)
        #expect(ranks.filtered.count == 2 && ranks.unfiltered.count == 2)
    }

    @Test func measuresAreTheSameInEachBitHoweverThreadsRace() throws {
        let dataset = try World.dataset(eventCounts: (0..<1_100).map { 3 + $0 % 5 })
        var configuration = EncoderSettings().configuration(dataset.catalogue, features: ["item"], width: 16)
        (configuration.layers, configuration.length) = (1, 4)
        var random = SeededRandom(seed: 3)
        let evaluation = EncoderEvaluation(
            encoder: try configuration.makeEncoder(catalogue: dataset.catalogue, using: &random),
            histories: Histories(dataset, features: configuration.features),
            threads: 4
        )
        let first = evaluation.ranks(.test)
        #expect(first.filtered.count == 1_100)
        for _ in 0..<5 {
            let again = evaluation.ranks(.test)
            #expect(again.filtered == first.filtered && again.unfiltered == first.unfiltered)
        }
    }
}
