extension SafeTensors {
    /// Writes tensors as F32, in the given order, and syncs them to disk.
    ///
    /// Equal tensors give equal bytes. Not atomic by itself: see `DurableFolder`.
    ///
    /// - Throws: `SafeTensorsError.unwritable`.
    public static func write(
        _ tensors: [NamedTensor],
        metadata: [String: String] = [:],
        to path: String
    ) throws(SafeTensorsError) {
        let writer = try SafeTensorsWriter(
            path: path,
            tensors: tensors.map { SafeTensorsWriter.Declaration($0.name, shape: $0.tensor.shape) },
            metadata: metadata
        )
        for named in tensors { try writer.append(named.tensor) }
        try writer.finish()
    }
}
