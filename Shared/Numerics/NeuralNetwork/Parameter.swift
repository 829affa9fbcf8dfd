import Synchronization
public import Tensors

/// In which kinds of training a weight decays; every declaration of a weight states it.
///
/// Weights of matrix products decay. Tables do not, because rows that are not in the batch would shrink for no reason;
/// nor do gains, biases and gates.
public enum WeightDecay: Sendable {
    /// It never decays.
    case never
    /// It always decays.
    case always
    /// It decays only where encoder and language model are trained together. For a few weights that have been trained
    /// that way from the start; another rule would change the result of a training.
    case joined
}

/// A named tensor that training changes, unless it is frozen.
public final class Parameter: Sendable {
    /// The name in checkpoints, unique within a model: `blocks.0.attention.query.weight`.
    public let name: String
    /// The values; written between steps only.
    public let value: Tensor
    /// In which kinds of training it decays.
    public let decay: WeightDecay

    private let trainable: Atomic<Bool>

    /// Makes a parameter that holds the given tensor.
    public init(_ name: String, _ value: Tensor, isTrainable: Bool = true, decay: WeightDecay = .never) {
        self.name = name
        self.value = value
        self.decay = decay
        trainable = Atomic(isTrainable)
    }

    /// Makes a parameter of zeros.
    public static func zeros(_ name: String, _ shape: [Int]) -> Parameter {
        Parameter(name, Tensor(shape: shape))
    }

    /// Makes a parameter whose values are all equal.
    public static func constant(_ name: String, _ shape: [Int], _ value: Float) -> Parameter {
        Parameter(name, Tensor([Float](repeating: value, count: shape.reduce(1, *)), shape: shape))
    }

    /// Makes a parameter of normally distributed values around 0.
    public static func normal(
        _ name: String,
        _ shape: [Int],
        deviation: Float,
        using random: inout SeededRandom
    ) -> Parameter {
        let values = (0..<shape.reduce(1, *)).map { _ in deviation * random.normal() }
        return Parameter(name, Tensor(values, shape: shape))
    }

    /// Makes a weight of [out, in], uniform within the Glorot bound `sqrt(6 / (in + out))`.
    public static func glorotUniform(_ name: String, _ shape: [Int], using random: inout SeededRandom) -> Parameter {
        let bound = (6 / Float(shape.reduce(0, +))).squareRoot()
        let values = (0..<shape.reduce(1, *)).map { _ in bound * (2 * random.uniform() - 1) }
        return Parameter(name, Tensor(values, shape: shape))
    }

    /// Whether training changes it; a frozen one has no gradient and no optimizer state, and keeps its exact values.
    public var isTrainable: Bool {
        get { trainable.load(ordering: .relaxed) }
        set { trainable.store(newValue, ordering: .relaxed) }
    }

    /// The shape of the values.
    public var shape: [Int] { value.shape }

    /// The number of values.
    public var count: Int { value.count }
}

/// A part of a model that has parameters.
public protocol Module {
    /// All parameters, in checkpoint order.
    var parameters: [Parameter] { get }
}
