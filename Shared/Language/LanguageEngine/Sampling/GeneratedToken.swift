/// A token of an answer and how likely the model found it.
public struct GeneratedToken: Sendable, Equatable {
    /// A token and the natural logarithm of its probability.
    public struct Choice: Sendable, Equatable {
        /// The token.
        public var token: Int32
        /// The natural logarithm of its probability.
        public var logProbability: Float

        /// Makes a choice.
        public init(token: Int32, logProbability: Float) {
            self.token = token
            self.logProbability = logProbability
        }
    }

    /// The token.
    public var token: Int32
    /// The natural logarithm of its probability in the model's own distribution, if the request asks for it.
    ///
    /// That is the one before penalties, bias and temperature, among all tokens or among those that a tree allows.
    public var logProbability: Float?
    /// The likeliest tokens of that distribution, most likely first, as many as the request asks for.
    public var likeliest: [Choice]

    /// Makes a token of an answer.
    public init(token: Int32, logProbability: Float?, likeliest: [Choice] = []) {
        self.token = token
        self.logProbability = logProbability
        self.likeliest = likeliest
    }
}
