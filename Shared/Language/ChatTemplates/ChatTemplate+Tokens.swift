public import Tokenization

extension ChatTemplate {
    /// The tokens of rendered pieces.
    ///
    /// For messages without marks the ids are those of `transformers`, which encodes the rendered text as a whole.
    /// This differs on purpose for messages that contain marks: there `<|im_end|>` in a message becomes the token and
    /// ends the turn; here a message is text, whatever it contains. That holds for every added token, special or not.
    ///
    /// - Parameters:
    ///   - pieces: what `render` gave.
    ///   - tokenizer: the model's tokenizer.
    /// - Returns: the ids, without those that the tokenizer puts around texts: the template writes them.
    /// - Throws: `ChatTemplateError.markInText` where the tokenizer has no token for a mark that divides turns, so that the
    ///   mark is written as text (as `transformers` does), and a message contains it.
    public func encode(_ pieces: [ChatPiece], with tokenizer: Tokenizer) throws(ChatTemplateError) -> [Int32] {
        var ids: [Int32] = []
        var text = ""
        var stripsLeft = false
        let plainMarks = turnMarks.filter { tokenizer.addedToken($0) == nil }

        func flush(before token: Tokenizer.AddedToken?) {
            var scalars = text.unicodeScalars[...]
            if stripsLeft { scalars = scalars.drop { $0.properties.isWhitespace } }
            if token?.stripsLeft == true {
                while scalars.last?.properties.isWhitespace == true { scalars.removeLast() }
            }
            ids += tokenizer.encode(String(scalars), matchesAddedTokens: false)
            text = ""
        }
        for piece in pieces {
            switch piece {
            case .mark(let mark):
                guard let token = tokenizer.addedToken(mark) else {
                    text += mark
                    continue
                }
                flush(before: token)
                ids.append(token.id)
                stripsLeft = token.stripsRight
            case .text(let added):
                if let mark = plainMarks.first(where: { Trimming.contains(added, $0) }) {
                    throw .markInText(mark: mark, template: name)
                }
                text += added
            }
        }
        flush(before: nil)
        return ids
    }

    /// Checks that the tokenizer has the mark that the template writes at the beginning of a conversation: written as text it
    /// would be nothing the model knows.
    ///
    /// - Parameter tokenizer: the model's tokenizer.
    /// - Throws: `ChatTemplateError.noBeginToken` when it has no added token for the mark.
    public func checkBeginToken(in tokenizer: Tokenizer) throws(ChatTemplateError) {
        guard let mark = beginMark, tokenizer.addedToken(mark) == nil else { return }
        throw .noBeginToken(mark: mark, template: name)
    }

    /// The tokens at which the model's answer ends.
    ///
    /// - Parameter tokenizer: the model's tokenizer.
    /// - Returns: the token that ends a turn, then those that end a text as far as the tokenizer has them. Those of
    ///   `generation_config.json` count besides.
    /// - Throws: `ChatTemplateError.noEndToken` when the tokenizer has none for the end of a turn.
    public func endTokens(in tokenizer: Tokenizer) throws(ChatTemplateError) -> [Int32] {
        var ids: [Int32] = []
        for (index, mark) in endMarks.enumerated() {
            if let id = tokenizer.id(of: mark) {
                if !ids.contains(id) { ids.append(id) }
            } else if index == 0 {
                throw .noEndToken(mark: mark, template: name)
            }
        }
        return ids
    }
}
