/// Multiply-adds of reading one timeline with an autoregressive encoder, from its shape alone.
///
/// What is counted is what is done: attention works on blocks of 64 events, of which the last sees most, so a part of the
/// scores that the causal mask discards is computed and counted. Norms, activations and sums are not: they are a few
/// operations a value where products are as many as the model is wide.
extension EncoderConfiguration {
    /// Events whose attention is computed together.
    private static let blockEvents = 64

    /// Multiply-adds of the hidden states of a timeline.
    ///
    /// - Parameter events: the events of the timeline, of which the last `length` are read.
    /// - Returns: 0 for none.
    package func multiplyAdds(events: Int) -> Int {
        let L = min(events, length)
        let d = width
        let fusion = fusion == .concatenate ? fusedWidth * d : 0
        let products =
            switch block {
            case .attention: 4 * d * d + 2 * d * feedForwardWidth
            case .hstu: 5 * d * d
            }
        return CappedCount.sum(
            CappedCount.product(L, fusion + layers * products),
            CappedCount.product(layers, 2, scoreCount(L), d)
        )
    }

    /// Scores of one head of one block, over queries and the keys that are computed with them.
    private func scoreCount(_ L: Int) -> Int {
        stride(from: 0, to: L, by: Self.blockEvents).reduce(0) { sum, start in
            let end = min(start + Self.blockEvents, L)
            return sum + (end - start) * end
        }
    }
}

extension Perceiver.Configuration {
    /// Multiply-adds of the context of an encoded timeline, from the shape alone.
    ///
    /// - Parameter events: the events that were encoded; 0 takes the learnt context, which costs nothing.
    /// - Returns: what all layers do.
    package func multiplyAdds(events: Int) -> Int {
        guard events > 0 else { return 0 }
        let (K, d, L) = (latents, width, events)
        let perLayer = CappedCount.sum(
            CappedCount.product(2, K + L, d, d),
            CappedCount.product(2, K, L, d),
            CappedCount.product(2, K, d, feedForwardWidth)
        )
        return CappedCount.product(layers, perLayer)
    }
}
