import Foundation
import NeuralNetwork
import Tensors
import Testing

@Suite final class CheckpointTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "checkpoint-\(UUID().uuidString)").path

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func parameters(_ value: Float, shape: [Int] = [2, 3]) -> [Parameter] {
        [.constant("a.weight", shape, value), .constant("b", [1], -value)]
    }

    private func write(_ parameters: [Parameter], optimizer: AdamW? = nil) throws {
        try Checkpoint.write(
            to: folder,
            parameters: parameters,
            configuration: ["width": 3],
            training: ["epoch": 1],
            optimizer: optimizer
        )
    }

    @Test func givesBackWhatWasWritten() throws {
        try write(parameters(1))
        try write(parameters(2))
        let loaded = parameters(0)
        try Checkpoint(folder: folder).load(into: loaded)
        #expect(loaded[0].value.values == [Float](repeating: 2, count: 6))
        #expect(loaded[1].value.values == [-2])
        let parent = try FileManager.default.contentsOfDirectory(
            atPath: URL(filePath: folder).deletingLastPathComponent().path
        )
        let name = URL(filePath: folder).lastPathComponent
        #expect(parent.filter { $0.contains(name) } == [name], "a temporary folder was left")
    }

    @Test func aTensorThatIsMissingIsNamed() throws {
        try write([parameters(1)[0]])
        let loaded = parameters(0)
        #expect(throws: SafeTensorsError.missing(path: folder + "/model.safetensors", name: "b")) {
            try Checkpoint(folder: self.folder).load(into: loaded)
        }
        #expect(loaded[0].value.values == [Float](repeating: 0, count: 6), "nothing is loaded when something is wrong")
    }

    @Test func aTensorTooManyIsNamed() throws {
        try write(parameters(1))
        #expect(throws: SafeTensorsError.unexpected(path: folder + "/model.safetensors", names: ["b"])) {
            try Checkpoint(folder: self.folder).load(into: [self.parameters(0)[0]])
        }
    }

    @Test func aWrongShapeIsNamed() throws {
        try write(parameters(1))
        let path = folder + "/model.safetensors"
        #expect(throws: SafeTensorsError.shape(path: path, name: "a.weight", found: [2, 3], expected: [3, 2])) {
            try Checkpoint(folder: self.folder).load(into: self.parameters(0, shape: [3, 2]))
        }
    }

    @Test func aTruncatedFileIsRefused() throws {
        try write(parameters(1))
        let path = folder + "/model.safetensors"
        let whole = try Data(contentsOf: URL(filePath: path))
        try whole.dropLast().write(to: URL(filePath: path))
        let error = #expect(throws: SafeTensorsError.self) {
            try Checkpoint(folder: self.folder).load(into: self.parameters(0))
        }
        #expect("\(try #require(error))".contains("the file has \(whole.count - 1)"))
    }

    @Test func aHalfWrittenFolderIsRefused() throws {
        try write(parameters(1))
        try FileManager.default.removeItem(atPath: folder + "/training.json")
        let error = #expect(throws: Checkpoint.Failure.self) { try Checkpoint(folder: self.folder) }
        #expect("\(try #require(error))".contains("training.json"))
        let missing = #expect(throws: Checkpoint.Failure.self) { try Checkpoint(folder: self.folder + "-none") }
        #expect("\(try #require(missing))".contains("there is no checkpoint"))
    }

    @Test func aFailedWriteLeavesTheOldCheckpoint() throws {
        try write(parameters(1))
        struct Unwritable: Codable {
            func encode(to encoder: any Encoder) throws { throw CocoaError(.coderInvalidValue) }
        }
        #expect(throws: (any Error).self) {
            try Checkpoint.write(
                to: self.folder,
                parameters: self.parameters(5),
                configuration: ["width": 3],
                training: Unwritable()
            )
        }
        let loaded = parameters(0)
        try Checkpoint(folder: folder).load(into: loaded)
        #expect(loaded[1].value.values == [-1])
    }

    @Test func resumingNeedsTheOptimizer() throws {
        let trained = parameters(1)
        try write(trained)
        let error = #expect(throws: Checkpoint.Failure.self) {
            try Checkpoint(folder: self.folder).load(into: AdamW(groups: [.init(trained)]))
        }
        #expect("\(try #require(error))".contains("optimizer.safetensors"))
    }

    @Test(arguments: ["-1", "9223372036854775807", "18446744073709551615", "1.5", "\"many\""])
    func aStepCountThatCannotBeIsNamed(steps: String) throws {
        let trained = parameters(1)
        try write(trained, optimizer: AdamW(groups: [.init(trained)]))
        try Data(#"{"optimizerSteps": \#(steps), "training": {"epoch": 1}}"#.utf8)
            .write(to: URL(filePath: folder + "/training.json"))
        let error = #expect(throws: Checkpoint.Failure.self) {
            try Checkpoint(folder: self.folder).load(into: AdamW(groups: [.init(trained)]))
        }
        let message = "\(try #require(error))"
        #expect(message.contains("training.json") && message.contains("optimizerSteps"))
    }

    @Test func momentsThatAreNoNumbersAreRefused() throws {
        let trained = parameters(1)
        let optimizer = AdamW(groups: [.init(trained)])
        optimizer.state[1].tensor.fill(.nan)
        try write(trained, optimizer: optimizer)
        #expect {
            try Checkpoint(folder: self.folder).load(into: AdamW(groups: [.init(trained)]))
        } throws: {
            "\($0)".contains("optimizer.safetensors: value 0 of tensor second.a.weight is nan")
        }
    }

    @Test func aFileThatIsFarTooLongIsRefusedUnread() throws {
        try write(parameters(1))
        try Data(count: 2 << 20).write(to: URL(filePath: folder + "/config.json"))
        let error = #expect(throws: Checkpoint.Failure.self) {
            try Checkpoint(folder: self.folder).configuration(as: [String: Int].self)
        }
        #expect("\(try #require(error))".contains("has 2097152 bytes, expected at most 1048576"))
    }
}
