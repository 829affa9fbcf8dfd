/// Passages of a free text that are answers of a tree: the model opens one with a mark, and is held to the tree until it
/// closes.
///
/// The marks are no part of the text, and neither are a passage's tokens: `SequenceEvent.passage` says which answer it
/// is. So a passage appears whole or, when the text's tokens end in it, not at all. Stop strings and stop tokens end the
/// text between passages alone. Where the tree leaves no choice, tokens are not chosen, and are read together.
public struct TreePassages: Sendable {
    /// What opens and closes a passage.
    public var marks: PassageMarks
    /// The answers allowed.
    public var tree: any TokenTree
    /// The last token of each answer of the tree, and of no other place in it.
    ///
    /// The closing mark stands for it: that is what the model reads, and the token is as likely as the mark's beginning.
    public var end: Int32

    /// Describes passages.
    public init(marks: PassageMarks, tree: any TokenTree, end: Int32) {
        (self.marks, self.tree, self.end) = (marks, tree, end)
    }
}
