import CMessages
internal import JSON

extension ForgottenMarks: RecordCoding {
    /// The marks as Protocol Buffers (`timeline.proto`).
    func packedUnchecked() -> [UInt8] {
        let memory = MessageMemory(byteCount: 1_024 + settled.count * 12 + recent.count * 20)
        var message = Userllm__ForgottenMarks()
        userllm__forgotten_marks__init(&message)
        if !settled.isEmpty {
            (message.n_settled_partitions, message.settled_partitions) = memory.list(settled) {
                UInt32(bitPattern: $0.partition)
            }
            (message.n_settled_offsets, message.settled_offsets) = memory.list(settled) {
                UInt64(bitPattern: $0.offset)
            }
            (message.has_settled_until, message.settled_until) = present(UInt64(bitPattern: settledUntil))
        }
        if !recent.isEmpty {
            (message.n_recent_partitions, message.recent_partitions) = memory.list(recent) {
                UInt32(bitPattern: $0.partition)
            }
            (message.n_recent_offsets, message.recent_offsets) = memory.list(recent) { UInt64(bitPattern: $0.offset) }
            (message.n_recent_deletions, message.recent_deletions) = memory.list(recent) {
                UInt64(bitPattern: $0.deletion)
            }
        }
        return packed(message, memory)
    }

    init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "ForgottenMarks", userllm__forgotten_marks__unpack)
        defer { userllm__forgotten_marks__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        try Self.check(message.n_settled_offsets, "settled_offsets", for: message.n_settled_partitions)
        try Self.check(message.n_recent_offsets, "recent_offsets", for: message.n_recent_partitions)
        try Self.check(message.n_recent_deletions, "recent_deletions", for: message.n_recent_partitions)
        // A number that does not fit becomes negative, which validation rejects.
        self.init()
        if message.has_settled_until != 0 { settledUntil = Int64(bitPattern: message.settled_until) }
        if let partitions = message.settled_partitions, let offsets = message.settled_offsets {
            settled = (0..<message.n_settled_partitions).map { index in
                Timeline.Source(
                    partition: Int32(bitPattern: partitions[index]),
                    offset: Int64(bitPattern: offsets[index])
                )
            }
        }
        if let partitions = message.recent_partitions, let offsets = message.recent_offsets,
            let deletions = message.recent_deletions
        {
            recent = (0..<message.n_recent_partitions).map { index in
                Mark(
                    partition: Int32(bitPattern: partitions[index]),
                    offset: Int64(bitPattern: offsets[index]),
                    deletion: Int64(bitPattern: deletions[index])
                )
            }
        }
    }

    private static func check(_ count: Int, _ field: String, for partitionCount: Int) throws(MessageError) {
        guard count == partitionCount else {
            throw MessageError(field: field, reason: "has \(count) entries for \(partitionCount) partitions")
        }
    }

    /// Checks sizes, ranges and the order.
    public func validate() throws(MessageError) {
        try TimelineColumns.check(settled, "settled")
        try Check.range(settledUntil, settled.isEmpty ? -1 ... -1 : 0...Int64.max - 1, "settled_until")
        try Check.size(recent.count, atMost: Limits.recentMarkCount, "recent_partitions")
        for (index, mark) in recent.enumerated() {
            try Check.range(mark.partition, 0...Int32.max, "recent_partitions[\(index)]")
            try Check.range(mark.offset, 0...Int64.max - 1, "recent_offsets[\(index)]")
            try Check.range(mark.deletion, 0...Int64.max - 1, "recent_deletions[\(index)]")
            guard index > 0 else { continue }
            let last = recent[index - 1]
            guard
                last.partition < mark.partition
                    || last.partition == mark.partition && last.offset < mark.offset && last.deletion < mark.deletion
            else {
                throw MessageError(
                    field: "recent_partitions[\(index)]",
                    reason: "is \(mark.partition) with offset \(mark.offset) and deletion \(mark.deletion) after "
                        + "\(last.partition) with \(last.offset) and \(last.deletion): send them in ascending order"
                )
            }
        }
    }
}

extension ForgottenMarks {
    enum Field: String, ObjectField {
        static let object = "marks of forgotten users"

        case settled
        case settledUntil = "settled_until"
        case recent
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(settled.map(JSONForm.init), forKey: .settled)
        if !settled.isEmpty { try json.encode(settledUntil, forKey: .settledUntil) }
        try json.encode(recent.map(JSONForm.init), forKey: .recent)
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        self.init()
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .settled: settled = try scanner.objects()
            case .settledUntil: settledUntil = try scanner.integer()
            case .recent: recent = try scanner.objects()
            }
        }
    }
}

extension ForgottenMarks.Mark: JSONWritable, JSONReadable {
    enum Field: String, ObjectField {
        static let object = "a mark"

        case partition, offset, deletion
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(partition, forKey: .partition)
        try json.encode(offset, forKey: .offset)
        try json.encode(deletion, forKey: .deletion)
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (partition, offset, deletion): (Int32?, Int64?, Int64?)
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .partition: partition = try scanner.integer()
            case .offset: offset = try scanner.integer()
            case .deletion: deletion = try scanner.integer()
            }
        }
        self.init(
            partition: try Field.partition.required(partition, "a partition of user-events"),
            offset: try Field.offset.required(offset, "an offset of that partition"),
            deletion: try Field.deletion.required(deletion, "an offset of the marks' own partition")
        )
    }
}
