/// The names of the groups that share topics' partitions.
public enum ConsumerGroup {
    /// Reads `user-events`.
    public static let encoderWorker = "encoder-worker"
    /// Reads `user-embeddings`.
    public static let embeddingWriter = "embedding-writer"
    /// Reads `questions`.
    public static let llmResponder = "llm-responder"
}
