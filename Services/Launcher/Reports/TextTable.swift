import Bytes

/// Columns of text under headings.
struct TextTable {
    private static let longestCell = 100
    private let headings: [String]
    private var rows: [[String]] = []
    private let rightAligned: Set<Int>

    /// Makes an empty table.
    init(_ headings: [String], rightAligned: Set<Int> = []) {
        self.headings = headings
        self.rightAligned = rightAligned
    }

    /// Adds a row; control characters in a cell are escaped, and a cell that is too long is cut.
    mutating func add(_ cells: [String]) {
        precondition(cells.count == headings.count, "\(cells.count) cells for \(headings.count) headings")
        rows.append(
            cells.map { cell in
                let shown = ControlCharacters.escaped(String(cell.prefix(Self.longestCell + 1)))
                return shown.count <= Self.longestCell ? shown : "\(shown.prefix(Self.longestCell - 3))..."
            }
        )
    }

    /// The table as lines.
    var text: String {
        let widths = headings.indices.map { column in
            ([headings] + rows).map { $0[column].count }.max() ?? 0
        }
        return ([headings, widths.map { String(repeating: "-", count: $0) }] + rows).map { cells in
            let padded = zip(cells, widths).enumerated().map { column, cell in
                let space = String(repeating: " ", count: cell.1 - cell.0.count)
                return rightAligned.contains(column) ? space + cell.0 : cell.0 + space
            }
            var line = padded.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}
