internal import Messages

/// Turns file contents into titles and categories, and counts what it changes or drops.
struct ItemText {
    /// How a file's text is encoded.
    struct Form: Sendable {
        /// Scraped from web pages: entities are decoded and white space is collapsed, as in a browser.
        var isHTML = false
        /// Text that is not UTF-8 is Latin-1, as in MovieLens's older sets; otherwise it is an error.
        var mayBeLatin1 = false
        /// Line ends and blanks around names are stripped, because titles are compared word by word.
        var isScraped = false
    }

    let form: Form
    var counts = ReadingCounts()

    init(_ form: Form) { self.form = form }

    /// Makes a title; nil when it is nothing but white space, or too long.
    mutating func title(_ bytes: [UInt8]) throws(DatasetError) -> String? {
        let text = try text(bytes, "title")
        guard text.utf8.count <= Limits.titleByteCount else {
            counts[.longTitles] += 1
            return nil
        }
        return text.allSatisfy(\.isWhitespace) ? nil : text
    }

    /// Makes categories, without duplicates and without those that are too long.
    mutating func categories(_ names: [[UInt8]]) throws(DatasetError) -> [String] {
        var categories: [String] = []
        for name in names {
            let category = try text(name, "categories")
            guard category.utf8.count <= Limits.nameByteCount else {
                counts[.longCategories] += 1
                continue
            }
            // Compared by bytes, like all names; there are only a few.
            if category.isEmpty || categories.contains(where: { $0.utf8.elementsEqual(category.utf8) }) { continue }
            guard categories.count < Limits.categoryCount else {
                counts[.manyCategories] += 1
                continue
            }
            categories.append(category)
        }
        return categories
    }

    private mutating func text(_ bytes: [UInt8], _ field: String) throws(DatasetError) -> String {
        var bytes = bytes
        if form.isHTML { counts[.htmlEntities] += HTMLEntities.decode(&bytes) }
        let text: String
        if let valid = String(validating: bytes, as: UTF8.self) {
            text = valid
        } else if form.mayBeLatin1 {
            text = String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        } else {
            throw DatasetError.notUTF8(field, bytes)
        }
        // Elsewhere text is kept as is, except for line breaks from quoted fields.
        guard form.isScraped || bytes.contains(where: { $0 < 0x20 }) else { return text }
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}

extension DatasetError {
    /// The error for text in another encoding.
    static func notUTF8(_ field: String, _ bytes: [UInt8]) -> DatasetError {
        DatasetError(
            field: field,
            value: String(decoding: bytes.prefix(200), as: UTF8.self),
            reason: "is not UTF-8; if the file is Windows-1252, as spreadsheets write it, convert it: "
                + "`iconv -f WINDOWS-1252 -t UTF-8`"
        )
    }
}
