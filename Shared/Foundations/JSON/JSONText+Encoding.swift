extension JSONText {
    /// A value as JSON on one line: fields in the order in which the value gives them, strings as `quoted` writes them.
    ///
    /// For replies and other output that people read; Foundation's encoder can only sort fields alphabetically.
    /// - Throws: `EncodingError` for a number that is not finite, or what the value throws.
    public static func encoded(_ value: some Encodable) throws -> String {
        let node = EncodedNode()
        try node.take(value, at: [])
        var text = ""
        node.write(to: &text)
        return text
    }
}

/// An object whose names are known only at run time, in their order.
public struct JSONFields<Value: Encodable>: Encodable {
    private let fields: [(name: String, value: Value)]

    /// Joins fields; no name may be there twice.
    public init(_ fields: [(name: String, value: Value)]) { self.fields = fields }

    /// Writes the fields in their order.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: NameKey.self)
        for field in fields { try container.encode(field.value, forKey: NameKey(field.name)) }
    }
}

extension JSONFields: Sendable where Value: Sendable {}

/// A part of a value that is being encoded: containers do not signal their end, so everything is collected before it is
/// written.
private final class EncodedNode {
    private enum Kind { case text, array, object }

    /// A value that encodes nothing is an empty object, as a type without fields is.
    private var kind = Kind.object
    private var text = ""
    /// Elements of an array have no names.
    private var parts: [(name: String, node: EncodedNode)] = []

    /// How many elements or fields it has so far.
    var count: Int { parts.count }

    func take(_ value: some Encodable, at path: [any CodingKey]) throws {
        switch value {
        case let text as String: take(text: JSONText.quoted(text))
        case let bool as Bool: take(text: bool ? "true" : "false")
        case let number as any BinaryInteger: take(text: String(describing: number))
        case let number as Double: take(text: try Self.text(number, number.isFinite, at: path))
        case let number as Float: take(text: try Self.text(number, number.isFinite, at: path))
        default: try value.encode(to: NodeEncoder(node: self, codingPath: path))
        }
    }

    func takeNull() { take(text: "null") }

    private func take(text: String) {
        kind = .text
        self.text = text
    }

    func beginArray() { kind = .array }

    func append(_ name: String = "") -> EncodedNode {
        let node = EncodedNode()
        parts.append((name, node))
        return node
    }

    func write(to result: inout String) {
        if case .text = kind {
            result += text
            return
        }
        let isArray = kind == .array
        result += isArray ? "[" : "{"
        for (index, part) in parts.enumerated() {
            if index > 0 { result += "," }
            if !isArray { result += JSONText.quoted(part.name) + ":" }
            part.node.write(to: &result)
        }
        result += isArray ? "]" : "}"
    }

    private static func text(_ number: some Any, _ isFinite: Bool, at path: [any CodingKey]) throws -> String {
        guard isFinite else {
            let context = EncodingError.Context(codingPath: path, debugDescription: "JSON has no number \(number)")
            throw EncodingError.invalidValue(number, context)
        }
        return "\(number)"
    }
}

/// Lets types that write themselves write into a node.
private struct NodeEncoder: Encoder, SingleValueEncodingContainer {
    let node: EncodedNode
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(FieldContainer(node: node, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.beginArray()
        return ElementContainer(node: node, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }
    func encodeNil() { node.takeNull() }
    func encode<Value: Encodable>(_ value: Value) throws { try node.take(value, at: codingPath) }
}

private struct FieldContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: EncodedNode
    let codingPath: [any CodingKey]

    func encodeNil(forKey key: Key) { node.append(key.stringValue).takeNull() }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        try node.append(key.stringValue).take(value, at: codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<
        Nested
    > {
        encoder(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { encoder(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { NodeEncoder(node: node.append("super"), codingPath: codingPath) }
    func superEncoder(forKey key: Key) -> any Encoder { encoder(key) }

    private func encoder(_ key: Key) -> NodeEncoder {
        NodeEncoder(node: node.append(key.stringValue), codingPath: codingPath + [key])
    }
}

private struct ElementContainer: UnkeyedEncodingContainer {
    let node: EncodedNode
    let codingPath: [any CodingKey]
    var count: Int { node.count }

    func encodeNil() { node.append().takeNull() }

    func encode<Value: Encodable>(_ value: Value) throws {
        let path = codingPath + [IndexKey(count)]
        try node.append().take(value, at: path)
    }

    func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        superEncoder().container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder.unkeyedContainer() }
    func superEncoder() -> any Encoder { encoder }

    private var encoder: NodeEncoder {
        let path = codingPath + [IndexKey(count)]
        return NodeEncoder(node: node.append(), codingPath: path)
    }
}
