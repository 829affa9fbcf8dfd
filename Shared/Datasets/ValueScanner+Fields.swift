extension ValueScanner.Syntax {
    /// How a line with an object is written: in JSON its first name stands in double quotes.
    ///
    /// Python takes single quotes unless there is one in the name, and no name of a data set's field has one.
    static func syntax(of bytes: [UInt8], _ line: Range<Int>) -> Self {
        var index = line.lowerBound
        while index < line.upperBound {
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: " "), UInt8(ascii: "\t"): index += 1
            case UInt8(ascii: "'"): return .python
            default: return .json
            }
        }
        return .json
    }
}

extension ValueScanner {
    /// Reads an id: a string that is not empty, or a whole number.
    mutating func identifier(_ name: String, into id: inout [UInt8]) throws(DatasetError) {
        if isAtString() {
            try string(into: &id)
            if id.isEmpty { throw DatasetError(field: name, value: "", reason: "is empty") }
            return
        }
        let start = self
        if let number = try? number(), integer(number) != nil {
            for index in number { id.append(self[index]) }
            return
        }
        self = start
        throw DatasetError(field: name, value: try valueText(), reason: "is not a string")
    }

    /// The next value as it stands there, for an error; passes over it.
    mutating func valueText() throws(DatasetError) -> String {
        _ = peek()
        let start = position
        try skipValue()
        return text(start..<position)
    }
}
