import Foundation
import NeuralNetwork
import Tensors
import Testing

@Suite struct WeightAverageTests {
    @Test func followsTheWeightsAsItsDecaySays() {
        let weight = Parameter.constant("weight", [3], 1)
        let average = WeightAverage([weight], decay: 0.5)
        weight.value.fill(3)
        // Early on less is kept: 2/11 at step 1, 3/12 at step 2; from step 8 on the decay itself.
        average.update(step: 1)
        #expect(abs(average.state[0].tensor[0] - (1 * 2 / 11 + 3 * 9 / 11)) < 1e-6)
        average.state[0].tensor.fill(1)
        average.update(step: 100)
        #expect(average.state[0].tensor.values == [2, 2, 2])
        #expect(weight.value.values == [3, 3, 3])
    }

    @Test func isLentToTheParametersAndTakenBack() {
        struct Failure: Error {}
        let weight = Parameter("weight", Tensor([0.1, 0.2], shape: [2]))
        let frozen = Parameter("frozen", Tensor([7], shape: [1]), isTrainable: false)
        let average = WeightAverage([weight, frozen], decay: 0.9)
        #expect(average.state.map(\.name) == ["weight"])
        weight.value.assign([0.3, -0])
        let bits = weight.value.values.map(\.bitPattern)
        #expect(average.applied { weight.value.values } == [0.1, 0.2])
        #expect(throws: Failure.self) { try average.applied { throw Failure() } }
        #expect(weight.value.values.map(\.bitPattern) == bits)
        #expect(average.state[0].tensor.values == [0.1, 0.2])
    }

    @Test func aCheckpointKeepsItBesideTheWeights() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "average-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let weight = Parameter.constant("weight", [2], 1)
        let average = WeightAverage([weight], decay: 0.9)
        weight.value.fill(2)
        average.update(step: 1)
        func write(_ average: WeightAverage?) throws {
            try Checkpoint.write(
                to: folder,
                parameters: [weight],
                configuration: ["width": 2],
                training: ["epoch": 1],
                average: average
            )
        }
        try write(average)
        let other = WeightAverage([Parameter.constant("weight", [2], 0)], decay: 0.9)
        try Checkpoint(folder: folder).load(into: other)
        #expect(other.state[0].tensor.isBitIdentical(to: average.state[0].tensor))
        try write(nil)
        #expect {
            try Checkpoint(folder: folder).load(into: other)
        } throws: {
            "\($0)".contains("it has no average.safetensors")
        }
    }
}
