/// A field of a kind of object; its raw value is its name.
public protocol ObjectField: RawRepresentable<String>, CaseIterable, CodingKey {
    /// What the object is, as in `an event`.
    static var object: String { get }
    /// Other names that producers give the field; none by default.
    var otherNames: [String] { get }
}

extension ObjectField {
    /// None.
    public var otherNames: [String] { [] }

    /// The field's value, which must be there; nil is one that is missing or null.
    ///
    /// - Parameters:
    ///   - value: what was read.
    ///   - expected: completes "send", as `a string` does.
    /// - Returns: the value.
    /// - Throws: `JSONError` naming the field.
    public func required<Value>(_ value: Value?, _ expected: String? = nil) throws(JSONError) -> Value {
        guard let value else {
            throw JSONError(field: rawValue, reason: "is missing" + (expected.map { ": send \($0)" } ?? ""))
        }
        return value
    }
}

/// The fields that a kind of object may have, as its reader finds them.
public struct ObjectFields<Field: ObjectField>: Sendable {
    @usableFromInline let names: FieldNames
    @usableFromInline let fields: [Field]

    /// Makes the table; its first names are in the order of the cases.
    public init() {
        fields = Array(Field.allCases)
        names = FieldNames(of: Field.object, fields.map { [$0.rawValue] + $0.otherNames })
    }
}

extension JSONScanner {
    /// Reads an object field by field, as `readObject` does with the numbers of fields.
    @inlinable
    public mutating func readObject<Field>(
        _ fields: ObjectFields<Field>,
        unknown: inout UnknownFields,
        _ read: (_ field: Field, _ scanner: inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        try readObject(fields.names, unknown: &unknown) { number, scanner throws(JSONError) in
            try read(fields.fields[number], &scanner)
        }
    }

    /// Reads an object field by field, by a policy for other fields whose names are not needed.
    @inlinable
    public mutating func readObject<Field>(
        _ fields: ObjectFields<Field>,
        unknown policy: UnknownFields.Policy = .ignored,
        _ read: (_ field: Field, _ scanner: inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        var unknown = UnknownFields(policy)
        try readObject(fields, unknown: &unknown, read)
    }
}
