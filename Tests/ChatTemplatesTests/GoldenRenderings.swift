import ChatTemplates
import Foundation

/// `renderings.json`.
struct GoldenRenderings {
    struct Template {
        var name: String
        var template: String
        var begin: String
        var end: String
        /// With the beginning of an answer; nil where the template refuses the conversation.
        var open: [String?]
        var closed: [String?]
        var thoughtless: [String]?
    }

    struct Ids {
        var template: String
        var ids: [[Int32]]
    }

    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures")

    var templates: [Template] = []
    var conversations: [[ChatMessage]] = []
    var ids: [String: Ids] = [:]

    init() throws {
        let file = Self.fixtures.appending(path: "ChatTemplates/renderings.json")
        let root = try JSONDecoder().decode(Root.self, from: Data(contentsOf: file))
        conversations = root.conversations.map { turns in
            turns.compactMap { turn in ChatRole(rawValue: turn[0]).map { ChatMessage($0, turn[1]) } }
        }
        templates = root.templates.map { entry in
            Template(
                name: entry.name,
                template: entry.template,
                begin: entry.bos,
                end: entry.eos,
                open: entry.open.map(\.text),
                closed: entry.closed.map(\.text),
                thoughtless: entry.thoughtless
            )
        }
        ids = root.ids.mapValues { Ids(template: $0.template, ids: $0.ids) }
    }

    private struct Root: Decodable {
        var conversations: [[[String]]]
        var templates: [Entry]
        var ids: [String: IDEntry]
    }

    private struct IDEntry: Decodable {
        var template: String
        var ids: [[Int32]]
    }

    private struct Entry: Decodable {
        var name: String
        var template: String
        var bos: String
        var eos: String
        var open: [Rendering]
        var closed: [Rendering]
        var thoughtless: [String]?
    }

    /// A text, or an object with the error.
    private struct Rendering: Decodable {
        var text: String?

        init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }
    }
}
