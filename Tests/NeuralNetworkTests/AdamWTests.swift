import Foundation
import NeuralNetwork
import Tensors
import TestSupport
import Testing

@Suite struct AdamWTests {
    /// AdamW as the paper writes it, in double.
    private func reference(_ start: [Float], gradients: [[Float]], rate: Double, decay: Double, norm: Double)
        -> [Double]
    {
        var w = start.map(Double.init)
        var (m, v) = ([Double](repeating: 0, count: w.count), [Double](repeating: 0, count: w.count))
        for (step, gradient) in gradients.enumerated() {
            let length = gradient.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            for i in w.indices {
                let g = Double(gradient[i]) * min(1, norm / length)
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.99 * v[i] + 0.01 * g * g
                let (mHat, vHat) = (m[i] / (1 - pow(0.9, Double(step + 1))), v[i] / (1 - pow(0.99, Double(step + 1))))
                w[i] -= rate * (decay * w[i] + mHat / (vHat.squareRoot() + 1e-8))
            }
        }
        return w
    }

    @Test func agreesWithThePaper() {
        var source = SeededValues(seed: 3)
        let parameter = source.parameter("w", [37])
        let start = parameter.value.values
        let gradients = (0..<5).map { _ in source.normal(37) }
        let group = AdamW.Group([parameter], learningRateScale: 2, weightDecay: 0.1)
        let optimizer = AdamW(groups: [group], betas: (0.9, 0.99), maximumNorm: 2)
        for gradient in gradients {
            let tensor = Tensor(gradient, shape: [37])
            let norm = optimizer.step(gradients: [[tensor]], learningRate: 0.01)
            #expect(abs(norm - gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()) < 1e-4)
        }
        let expected = reference(start, gradients: gradients, rate: 0.02, decay: 0.1, norm: 2)
        let worst = zip(parameter.value.values, expected).map { abs(Double($0) - $1) }.max() ?? 1
        print("AdamW: worst difference \(worst), tolerance 1e-6")
        #expect(worst < 1e-6)
    }

    @Test func shardsAddUp() {
        let (one, two) = (Parameter.zeros("one", [3]), Parameter.zeros("two", [3]))
        let whole = AdamW(groups: [.init([one])], maximumNorm: nil)
        let sharded = AdamW(groups: [.init([two])], maximumNorm: nil)
        whole.step(gradients: [[Tensor([1, 2, 4], shape: [3])]], learningRate: 0.1)
        let halves = [Tensor([0.5, 0, 3], shape: [3]), Tensor([0.5, 2, 1], shape: [3])]
        sharded.step(gradients: [halves], learningRate: 0.1, threads: 2)
        #expect(one.value.isBitIdentical(to: two.value))
    }

    @Test func aGradientThatIsNotFiniteChangesNothing() {
        let parameter = Parameter.constant("w", [2], 1)
        let optimizer = AdamW(groups: [.init([parameter])])
        let norm = optimizer.step(gradients: [[Tensor([.nan, 1], shape: [2])]], learningRate: 0.1)
        #expect(!norm.isFinite)
        #expect(parameter.value.values == [1, 1])
        #expect(optimizer.stepCount == 0)
    }

    @Test func frozenParametersHaveNoState() {
        let parameter = Parameter.zeros("w", [2])
        parameter.isTrainable = false
        let optimizer = AdamW(groups: [.init([parameter])])
        #expect(optimizer.parameters.isEmpty)
        #expect(optimizer.state.isEmpty)
    }
}

@Suite struct ScheduleTests {
    @Test func warmsUpAndFalls() {
        let schedule = Schedule(peak: 0.1, warmUpSteps: 4, shape: .cosine(steps: 14, floor: 0.1))
        #expect(schedule.learningRate(at: 0) == 0.025)
        #expect(schedule.learningRate(at: 3) == 0.1)
        #expect(schedule.learningRate(at: 4) == 0.1)
        #expect(abs(schedule.learningRate(at: 9) - 0.055) < 1e-6)
        #expect(abs(schedule.learningRate(at: 14) - 0.01) < 1e-6)
        #expect(abs(schedule.learningRate(at: 1000) - 0.01) < 1e-6)
        #expect(Schedule(peak: 0.1).learningRate(at: 0) == 0.1)
    }
}
