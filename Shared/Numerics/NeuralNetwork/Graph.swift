public import Tensors

/// A value within a graph: the result of an operation, a parameter or a constant.
///
/// Use it only with the graph that made it, and not after that graph's `reset()`.
public struct Variable {
    let node: Node

    /// The size of each dimension; empty for a scalar.
    public var shape: [Int] { node.value.shape }
}

/// What a variable refers to.
final class Node {
    let value: Tensor
    let requiresGradient: Bool
    var gradient: Tensor?

    init(_ value: Tensor, requiresGradient: Bool) {
        self.value = value
        self.requiresGradient = requiresGradient
    }
}

/// A tape of operations on tensors, and the gradients of a loss with respect to the parameters they used.
///
/// One thread uses a graph at a time; data-parallel training has one per shard. Memory comes from a pool that survives
/// `reset()`, so a step similar to the one before it allocates nothing. Where `recording` is false, nothing is kept for
/// a backward pass, and the memory of each result is freed together with its variable.
///
/// An operation whose inputs need no gradient, because all parameters behind them are frozen, is not recorded.
public final class Graph {
    /// Whether operations are kept for a backward pass.
    public let isRecording: Bool
    /// Whether dropout is active; false for evaluation and encoding.
    public var isTraining: Bool
    /// The number format of the operands of matrix products.
    public let precision: Precision

    let pool = BufferPool()
    private var tape: [Entry] = []
    private var parameterNodes: [ObjectIdentifier: Node] = [:]
    private var rotaryTables: [RotaryKey: RotaryTable] = [:]
    private var seed: UInt64
    private var randomCalls: UInt64 = 0

    private struct Entry {
        let output: Node
        let backward: (Tensor) -> Void
    }

    private struct RotaryKey: Hashable {
        let width: Int
        let base: Float
    }

    /// Makes a graph.
    ///
    /// - Parameters:
    ///   - recording: whether gradients will be needed. Also the initial value of `isTraining`.
    ///   - seed: seed of the dropout masks.
    ///   - precision: the number format of the operands of matrix products.
    public init(recording: Bool, seed: UInt64, precision: Precision = .float32) {
        isRecording = recording
        self.precision = precision
        isTraining = recording
        self.seed = seed
    }

    /// Discards all variables and gradients, and keeps their memory for the next step.
    ///
    /// - Parameter seed: new seed of the dropout masks; nil derives one from the current seed.
    public func reset(seed: UInt64? = nil) {
        tape.removeAll(keepingCapacity: true)
        parameterNodes.removeAll(keepingCapacity: true)
        self.seed = seed ?? SeededRandom.mix(self.seed, randomCalls)
        randomCalls = 0
    }

    /// Multiply-adds of all matrix products so far, attention's included.
    package var multiplyAdds: Int { pool.multiplyAdds }

    /// How often memory was requested from the system so far; stays constant once steps are alike.
    public var allocationCount: Int { pool.allocationCount }

    /// Frees the memory that was kept for reuse.
    public func trim() { pool.trim() }

    /// The variable of a parameter; always the same one until `reset()`.
    public func parameter(_ parameter: Parameter) -> Variable { Variable(node: node(of: parameter)) }

    /// A variable of given values that needs no gradient.
    public func constant(_ values: [Float], shape: [Int]) -> Variable { constant(pool.tensor(values, shape: shape)) }

    /// A variable that wraps the tensor itself, without a copy, and needs no gradient.
    public func constant(_ tensor: Tensor) -> Variable { Variable(node: Node(tensor, requiresGradient: false)) }

    /// The values of a variable in row-major order.
    public func values(of variable: Variable) -> [Float] { variable.node.value.values }

    /// The tensor of a variable, without copying.
    public func tensor(of variable: Variable) -> Tensor { variable.node.value }

    /// The gradient of a parameter, summed over the backward passes since `reset()`.
    ///
    /// - Returns: nil when the parameter is frozen or did not take part in a loss.
    public func gradient(of parameter: Parameter) -> Tensor? {
        parameterNodes[ObjectIdentifier(parameter)]?.gradient
    }

    /// Adds the gradients of a scalar loss to those of the parameters behind it, and discards the recorded operations.
    public func backward(_ loss: Variable) {
        precondition(isRecording, "backward needs a graph that records")
        precondition(loss.node.value.count == 1, "a loss is a scalar, got the shape \(loss.shape)")
        loss.node.gradient = pool.tensor([1], shape: loss.node.value.shape)
        // Each entry is dropped when it is done, so that its memory can be reused for the gradients of earlier ones.
        while let entry = tape.popLast() {
            guard let gradient = entry.output.gradient else { continue }
            entry.output.gradient = nil
            entry.backward(gradient)
        }
    }

    // MARK: - For the operations

    func node(of parameter: Parameter) -> Node {
        let key = ObjectIdentifier(parameter)
        if let node = parameterNodes[key] { return node }
        let node = Node(parameter.value, requiresGradient: isRecording && parameter.isTrainable)
        parameterNodes[key] = node
        return node
    }

    /// Makes the result of an operation and, if an input needs a gradient, records its backward function.
    func record(_ value: Tensor, from inputs: [Node], backward: @escaping (Tensor) -> Void) -> Variable {
        let required = isRecording && inputs.contains { $0.requiresGradient }
        let node = Node(value, requiresGradient: required)
        if required { tape.append(Entry(output: node, backward: backward)) }
        return Variable(node: node)
    }

    /// Where to write the gradient of a node: a tensor, and whether to accumulate into it.
    ///
    /// Nil when the gradient is not needed.
    func gradientTarget(_ node: Node) -> (tensor: Tensor, accumulate: Bool)? {
        guard node.requiresGradient else { return nil }
        if let present = ownGradient(of: node) { return (present, true) }
        let tensor = pool.tensor(node.value.shape)
        node.gradient = tensor
        return (tensor, false)
    }

    /// The gradient of a node for kernels that only accumulate; initially zero.
    func accumulatedGradient(_ node: Node) -> Tensor? {
        guard let (tensor, accumulate) = gradientTarget(node) else { return nil }
        if !accumulate { tensor.fill(0) }
        return tensor
    }

    /// Delivers a complete gradient tensor to a node: adopted if it is the first, otherwise added.
    func deliver(_ gradient: Tensor?, to node: Node) {
        guard let gradient, node.requiresGradient else { return }
        if let present = ownGradient(of: node) {
            Elementwise.accumulate(gradient, into: present)
        } else {
            node.gradient = gradient.shape == node.value.shape ? gradient : gradient.reshaped(node.value.shape)
        }
    }

    /// The gradient of a node so far, in memory of its own: an addition passes the same tensor to both its inputs.
    private func ownGradient(of node: Node) -> Tensor? {
        let isAlone = isKnownUniquelyReferenced(&node.gradient)
        guard let present = node.gradient else { return nil }
        if isAlone && present.ownsItsMemoryAlone { return present }
        let copy = present.copy(pool: pool)
        node.gradient = copy
        return copy
    }

    func rotaryTable(width: Int, base: Float) -> RotaryTable {
        let key = RotaryKey(width: width, base: base)
        if let table = rotaryTables[key] { return table }
        let table = RotaryTable(width: width, base: base)
        rotaryTables[key] = table
        return table
    }

    /// A key for one dropout mask; each call returns a new one.
    func nextRandomKey() -> UInt64 {
        randomCalls += 1
        return SeededRandom.mix(seed, randomCalls)
    }
}
