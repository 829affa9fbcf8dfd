internal import JSON

/// A JSON value with its path in the document, so that errors can name it.
struct JSONNode {
    /// The value; nil when it is missing or null.
    let value: JSONValue?
    let path: String

    init(_ value: JSONValue?, path: String) {
        if case .null? = value { self.value = nil } else { self.value = value }
        self.path = path
    }

    var isNull: Bool { value == nil }

    subscript(_ key: String) -> JSONNode {
        var field: JSONValue?
        if case .object(let object)? = value { field = object[key] }
        return JSONNode(field, path: path.isEmpty ? key : "\(path).\(key)")
    }

    func string() throws(TokenizerError) -> String {
        guard case .string(let string)? = value else { throw wrong("a string") }
        return string
    }

    func boolean(default missing: Bool) throws(TokenizerError) -> Bool {
        guard let value else { return missing }
        guard case .bool(let boolean) = value else { throw wrong("true or false") }
        return boolean
    }

    func identifier() throws(TokenizerError) -> Int32 {
        guard case .number(let number)? = value, let id = number.integer, Tokenizer.ids.contains(id) else {
            throw wrong("a token id from 0 to \(Tokenizer.ids.upperBound - 1)")
        }
        return Int32(id)
    }

    func array() throws(TokenizerError) -> [JSONNode] {
        guard case .array(let array)? = value else { throw wrong("an array") }
        return array.enumerated().map { JSONNode($0.element, path: "\(path)[\($0.offset)]") }
    }

    /// The fields of an object; what follows their names in the path is added where an error needs it.
    func object() throws(TokenizerError) -> [(name: String, value: JSONValue)] {
        guard case .object(let object)? = value else { throw wrong("an object") }
        return object.fields
    }

    func requireNull(orEmpty: Bool = false) throws(TokenizerError) {
        if isNull || (orEmpty && isText("")) { return }
        throw unsupported("null")
    }

    func requireFalse() throws(TokenizerError) {
        if isNull { return }
        if case .bool(false)? = value { return }
        throw unsupported("false")
    }

    func require(_ wanted: String, orMissing: Bool = false) throws(TokenizerError) {
        if isText(wanted) || (orMissing && isNull) { return }
        throw unsupported(wanted)
    }

    func unsupported(_ supported: String) -> TokenizerError {
        .unsupported(key: path, value: brief, supported: supported)
    }

    func wrong(_ expected: String) -> TokenizerError {
        .malformed(key: path, reason: "is \(brief), expected \(expected)")
    }

    private func isText(_ wanted: String) -> Bool {
        guard case .string(let text)? = value else { return false }
        return text.utf8.elementsEqual(wanted.utf8)
    }

    private var brief: String {
        guard let value else { return "missing" }
        if case .string(let type)? = self["type"].value { return "of type \(type.prefix(80))" }
        if case .string(let text) = value { return String(text.prefix(80)) }
        return value.shown
    }
}
