internal import CRdkafka

/// Owner of a member's identity in its group, which brokers check offsets against.
final class GroupMember {
    /// What brokers check.
    let metadata: GroupMetadata
    /// The name the broker gave the member.
    let name: String

    /// Reads who the client is in its group; nil while it is nobody.
    ///
    /// The check is ours because brokers take offsets in a transaction without any check from a client that names no
    /// member, which is what a member that was put out is for a moment.
    init?(of client: KafkaClient) {
        guard let metadata = GroupMetadata(of: client) else { return nil }
        self.metadata = metadata
        guard let name = rd_kafka_memberid(client.handle) else { return nil }
        self.name = String(cString: name)
        rd_kafka_mem_free(client.handle, name)
        guard !self.name.isEmpty, Self.generation(of: metadata.pointer, member: self.name).map({ $0 >= 0 }) == true
        else {
            return nil
        }
    }

    /// The generation in the metadata, which librdkafka shows only in its written form: a mark of 7 bytes, the
    /// generation as four bytes of the machine's order, then names.
    static func generation(of metadata: OpaquePointer, member: String) -> Int32? {
        var buffer: UnsafeMutableRawPointer?
        var size = 0
        let error = KafkaError(
            taking: rd_kafka_consumer_group_metadata_write(metadata, &buffer, &size),
            operation: "group metadata"
        )
        guard error == nil, let buffer else { return nil }
        defer { rd_kafka_mem_free(nil, buffer) }
        let bytes = UnsafeRawBufferPointer(start: buffer, count: size)
        let mark = Array("CGMDv2:".utf8)
        guard bytes.starts(with: mark), size >= mark.count + 4 else { return nil }
        let names = bytes.dropFirst(mark.count + 4).split(separator: 0, omittingEmptySubsequences: false)
        // The member in the metadata is the one that counts; a rejoin may have come in between.
        guard names.count > 1, names[1].elementsEqual(member.utf8) else { return nil }
        return bytes.loadUnaligned(fromByteOffset: mark.count, as: Int32.self)
    }
}
