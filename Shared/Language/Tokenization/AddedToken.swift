extension Tokenizer {
    /// A token that is matched in the text before anything else, such as `<|end|>`.
    public struct AddedToken: Sendable, Equatable {
        /// The token's id.
        public var id: Int32
        /// The text that stands for it.
        public var content: String
        /// Whether it is a structural marker rather than text.
        public var isSpecial: Bool
        /// Whether it matches only where no letter, mark, digit or connector stands beside it (`single_word`).
        public var isSingleWord: Bool
        /// Whether it takes the white space before it along (`lstrip`).
        public var stripsLeft: Bool
        /// Whether it takes the white space after it along (`rstrip`).
        public var stripsRight: Bool
        /// Whether it is looked for in the text after the normalizer, and not before (`normalized`).
        public var isNormalized: Bool

        /// Makes an added token.
        public init(
            id: Int32,
            content: String,
            isSpecial: Bool,
            isSingleWord: Bool = false,
            stripsLeft: Bool = false,
            stripsRight: Bool = false,
            isNormalized: Bool = false
        ) {
            self.id = id
            self.content = content
            self.isSpecial = isSpecial
            self.isSingleWord = isSingleWord
            self.stripsLeft = stripsLeft
            self.stripsRight = stripsRight
            self.isNormalized = isNormalized
        }
    }
}
