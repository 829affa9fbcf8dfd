extension JSONScanner {
    /// Reads an object field by field.
    ///
    /// A field that is given twice is an error, whether under one name or two: only the sender knows which is meant,
    /// and JSON readers differ in which one they take, so two systems would see two different records. A field that is
    /// `null` counts as missing.
    ///
    /// - Parameters:
    ///   - fields: the object's fields.
    ///   - unknown: takes the names of other fields, which are skipped.
    ///   - read: reads the value of a field of this number.
    /// - Throws: `JSONError` for a non-object, for a field that is given twice, and what `read` throws.
    public mutating func readObject(
        _ fields: FieldNames,
        unknown: inout UnknownFields,
        _ read: (_ field: Int, _ scanner: inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard peek() == UInt8(ascii: "{") else {
            let byte = byteNumber
            if peek() == nil { throw syntaxError("an object") }
            throw JSONError(
                value: try valueText(),
                reason: "is not a JSON object: send one object for \(fields.object)",
                byte: byte
            )
        }
        try beginObject()
        var seen: UInt64 = 0
        var isFirst = true
        while true {
            guard let name = try nextField(isFirst: isFirst) else { return }
            isFirst = false
            guard let number = try number(of: name, fields, &unknown) else { continue }
            if fields.isSeen(fields.field(number), in: seen) { throw duplicate(name, number, fields, seen) }
            seen |= 1 << UInt64(number)
            if takeNull() { continue }
            do throws(JSONError) {
                try read(fields.field(number), &self)
            } catch {
                throw error.inField(fields.text(number))
            }
        }
    }

    /// The number of a field's name; skips the value of an unknown field.
    private mutating func number(
        of name: Range<Int>,
        _ fields: FieldNames,
        _ unknown: inout UnknownFields
    ) throws(JSONError) -> Int? {
        if let number = fields.number(bytes, name) { return number }
        let byte = name.lowerBound - range.lowerBound + 1
        if bytes[name].contains(UInt8(ascii: "\\")) {
            var text: [UInt8] = []
            try unescape(name, into: &text)
            if let number = fields.number(text, 0..<text.count) { return number }
            try unknown.add(text, fields, at: byte)
        } else {
            try unknown.add(bytes[name], fields, at: byte)
        }
        try skipValue()
        return nil
    }

    private func duplicate(_ name: Range<Int>, _ number: Int, _ fields: FieldNames, _ seen: UInt64) -> JSONError {
        let field = fields.field(number)
        let (first, second) = (fields.name(of: field, in: seen), fields.text(number))
        return JSONError(
            field: second,
            reason: first == second
                ? "is given twice in one object: send it once"
                : "is given besides \(first), which means the same: send one of them",
            byte: name.lowerBound - range.lowerBound + 1
        )
    }

    /// Reads an array, element by element.
    public mutating func readArray<Element>(
        _ read: (inout JSONScanner) throws(JSONError) -> Element
    ) throws(JSONError) -> [Element] {
        try beginArray()
        var elements: [Element] = []
        while try nextValue(isFirst: elements.isEmpty) {
            do throws(JSONError) {
                elements.append(try read(&self))
            } catch {
                throw error.inElement(elements.count)
            }
        }
        return elements
    }

    /// Reads the strings of the next value: one, an array of them, an array of paths, which are arrays of them, or null.
    ///
    /// - Parameters:
    ///   - field: what errors call the value.
    ///   - read: reads one string.
    /// - Throws: `JSONError` naming the field and the value, and what `read` throws.
    public mutating func readNames(
        of field: String,
        _ read: (inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        try readNames(of: field, depth: 0, read)
    }

    private mutating func readNames(
        of field: String,
        depth: Int,
        _ read: (inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        if takeNull() { return }
        if isAtString() { return try read(&self) }
        guard peek() == UInt8(ascii: "["), depth < 2 else {
            throw JSONError(
                field: field,
                value: try valueText(),
                reason: "is neither a string nor an array of strings"
            )
        }
        try beginArray()
        var isFirst = true
        while try nextValue(isFirst: isFirst) {
            isFirst = false
            try readNames(of: field, depth: depth + 1, read)
        }
    }
}
