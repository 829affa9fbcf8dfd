import CMessages
internal import JSON

extension ForgottenMarks: WireRecord {
    /// The marks as Protocol Buffers (`timeline.proto`).
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        let memory = MessageMemory(byteCount: 1_024 + settled.count * 12 + recent.count * 20)
        var message = Userllm__ForgottenMarks()
        userllm__forgotten_marks__init(&message)
        if !settled.isEmpty {
            message.n_settled_partitions = settled.count
            message.settled_partitions = memory.array(numbers: settled.map { UInt32(bitPattern: $0.partition) })
            message.n_settled_offsets = settled.count
            message.settled_offsets = memory.array(numbers: settled.map { UInt64(bitPattern: $0.offset) })
            message.has_settled_until = 1
            message.settled_until = UInt64(bitPattern: settledUntil)
        }
        if !recent.isEmpty {
            message.n_recent_partitions = recent.count
            message.recent_partitions = memory.array(numbers: recent.map { UInt32(bitPattern: $0.partition) })
            message.n_recent_offsets = recent.count
            message.recent_offsets = memory.array(numbers: recent.map { UInt64(bitPattern: $0.offset) })
            message.n_recent_deletions = recent.count
            message.recent_deletions = memory.array(numbers: recent.map { UInt64(bitPattern: $0.deletion) })
        }
        return packed(message, memory)
    }

    /// The marks as JSON, for people and tools.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(ForgottenMarksJSON(self))
    }

    /// Reads marks.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        switch try ContentType(header: contentType, value: bytes) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json:
            self = try decodedJSON(bytes) { scanner throws(JSONError) in try ForgottenMarks(&scanner) }
        }
        try validate()
    }

    private init(protobuf bytes: [UInt8]) throws(MessageError) {
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
        guard recent.count <= Limits.recentMarkCount else {
            throw MessageError(
                field: "recent_partitions",
                reason: "has \(recent.count) entries: send at most \(Limits.recentMarkCount)"
            )
        }
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

/// The marks' JSON form.
private struct ForgottenMarksJSON: Encodable {
    struct Mark: Encodable {
        let partition: Int32
        let offset: Int64
        let deletion: Int64
    }

    let settled: [TimelineJSON.Source]
    let settledUntil: Int64?
    let recent: [Mark]

    enum CodingKeys: String, CodingKey {
        case settled, recent
        case settledUntil = "settled_until"
    }

    init(_ marks: ForgottenMarks) {
        settled = marks.settled.map(TimelineJSON.Source.init)
        settledUntil = marks.settled.isEmpty ? nil : marks.settledUntil
        recent = marks.recent.map { Mark(partition: $0.partition, offset: $0.offset, deletion: $0.deletion) }
    }
}

extension ForgottenMarks {
    private enum Field: Int { case settled, settledUntil, recent }
    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "marks of forgotten users",
        [["settled"], ["settled_until"], ["recent"]]
    )

    private init(_ scanner: inout JSONScanner) throws(JSONError) {
        self.init()
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .settled:
                settled = try scanner.readArray { scanner throws(JSONError) in try Timeline.Source(&scanner) }
            case .settledUntil: settledUntil = try scanner.integer()
            case .recent: recent = try scanner.readArray { scanner throws(JSONError) in try Mark(&scanner) }
            case nil: break
            }
        }
    }
}

extension ForgottenMarks.Mark {
    private enum Field: Int { case partition, offset, deletion }
    /// In the order of `Field`.
    private static let fields = FieldNames(of: "a mark", [["partition"], ["offset"], ["deletion"]])

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (partition, offset, deletion): (Int32?, Int64?, Int64?)
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .partition: partition = try scanner.integer()
            case .offset: offset = try scanner.integer()
            case .deletion: deletion = try scanner.integer()
            case nil: break
            }
        }
        self.init(
            partition: try required(partition, "partition", "a partition of user-events"),
            offset: try required(offset, "offset", "an offset of that partition"),
            deletion: try required(deletion, "deletion", "an offset of the marks' own partition")
        )
    }
}
