public import ModelFiles

/// How much the language model and the encoder count in a fused answer.
///
/// At each branch of the titles' prefix tree, a child's probability is proportional to the language model's to the power
/// of one weight, times the encoder's of all items below it to the power of another. Weights may depend on how many
/// branches a title has passed.
public struct FusionWeights: Codable, Sendable, Equatable {
    /// The exponents at a branch.
    public struct Pair: Codable, Sendable, Equatable {
        /// The exponent of the language model's probability.
        public var languageModel: Double
        /// The exponent of the encoder's probability.
        public var encoder: Double

        /// Makes a pair.
        public init(languageModel: Double, encoder: Double) {
            self.languageModel = languageModel
            self.encoder = encoder
        }
    }

    /// The pairs of the first branch, the second, and so on; the last one is that of all further branches, too.
    public var branches: [Pair]
    /// The weight of the encoder's score of a title beside the language model's in late fusion, where both rank whole
    /// titles and their scores are added; nil when it was not learnt.
    public var late: Double?

    /// How many kinds of branches may be told apart; later ones are too few to learn anything of their own.
    public static let classes = 1...3
    /// What a weight may be: a negative one would prefer what is unlikely.
    public static let range: ClosedRange<Double> = 0...100

    /// The language model decides alone.
    public static let languageModelAlone = FusionWeights(branches: [Pair(languageModel: 1, encoder: 0)])
    /// The encoder's head decides alone.
    public static let encoderAlone = FusionWeights(branches: [Pair(languageModel: 0, encoder: 1)])

    /// Makes weights.
    public init(branches: [Pair], late: Double? = nil) {
        self.branches = branches
        self.late = late
    }

    /// The kind of a branch that stands below so many others.
    ///
    /// - Precondition: there is at least one pair.
    public func kind(ofBranch depth: Int) -> Int { min(depth, branches.count - 1) }

    /// The weights at a branch that stands below so many others.
    func pair(atBranch depth: Int) -> Pair { branches[kind(ofBranch: depth)] }

    /// Whether the encoder has no say.
    var isLanguageModelAlone: Bool { branches.allSatisfy { $0.encoder == 0 && $0.languageModel == 1 } }

    /// Checks number and range of the weights.
    ///
    /// - Throws: `ModelConfigurationError` naming the weight.
    public func validate() throws(ModelConfigurationError) {
        try require(
            "fusion.branches",
            "\(branches.count) pairs",
            Self.classes.contains(branches.count),
            "from \(Self.classes.lowerBound) to \(Self.classes.upperBound), for the first branch, the second, and all others"
        )
        for (index, pair) in branches.enumerated() {
            try Self.check("fusion.branches[\(index)].languageModel", pair.languageModel)
            try Self.check("fusion.branches[\(index)].encoder", pair.encoder)
        }
        if let late { try Self.check("fusion.late", late) }
    }

    private static func check(_ key: String, _ weight: Double) throws(ModelConfigurationError) {
        let expected = "a number from \(Int(range.lowerBound)) to \(Int(range.upperBound))"
        try require(key, weight, range.contains(weight), expected)
    }
}
