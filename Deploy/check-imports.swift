// Holds every import against the manifest, and every arrow of the manifest against the layers.
//
//   swift package dump-package | swift Deploy/check-imports.swift
//
// Prints a line for each fault, and nothing when there is none.

import Foundation

/// Of `Shared`, lowest first: a target imports only what stands in its own layer or in one before it.
let layers = ["CLibraries", "Foundations", "Runtime", "Log", "Domain", "Numerics", "Language", "Models"]
/// What is not in a layer stands above all of them, in this order.
let buildings = ["Shared", "Services", "Tests"]
let mostFilesOfAFolder = 15

struct Manifest: Decodable {
    let targets: [Target]
}

struct Target: Decodable {
    /// `byName`, `target` and `product` all hold the name first.
    struct Dependency: Decodable {
        let name: String

        init(from decoder: any Decoder) throws {
            let kinds = try decoder.singleValueContainer().decode([String: [Name?]].self)
            name = kinds.values.first?.first??.text ?? ""
        }
    }

    struct Name: Decodable {
        let text: String?

        init(from decoder: any Decoder) throws {
            text = try? decoder.singleValueContainer().decode(String.self)
        }
    }

    let name: String
    let path: String?
    let dependencies: [Dependency]
    let exclude: [String]
}

let manifest = try JSONDecoder().decode(Manifest.self, from: FileHandle.standardInput.readDataToEndOfFile())
let targets = Dictionary(uniqueKeysWithValues: manifest.targets.map { ($0.name, $0) })

func rank(_ target: Target) -> Int {
    let parts = (target.path ?? "").split(separator: "/").map(String.init)
    guard let building = buildings.firstIndex(of: parts.first ?? "") else { return .max }
    return building > 0 ? layers.count + building : layers.firstIndex(of: parts.count > 1 ? parts[1] : "") ?? .max
}

func swiftFiles(in folder: String, but excluded: [String]) -> [String] {
    let names = FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []
    return names.filter { name in
        name.hasSuffix(".swift") && !excluded.contains { name == $0 || name.hasPrefix("\($0)/") }
    }
}

func modules(importedBy file: String) -> [String] {
    let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
    let pattern =
        #/
        ^\s*(?:@\w+(?:\(\w+\))?\s)*(?:(?:public|package|internal|fileprivate|private)\s)?
        import\s(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s)?(\w+)
        /#
    return text.split(separator: "\n").compactMap { $0.firstMatch(of: pattern).map { String($0.1) } }
}

var filesOfFolder: [String: Int] = [:]
for target in manifest.targets.sorted(by: { $0.name < $1.name }) {
    guard let path = target.path else { continue }
    let declared = Set(target.dependencies.map(\.name))
    if rank(target) == .max { print("\(target.name): \(path) is in no layer (\(layers.joined(separator: ", ")))") }
    for name in declared.sorted() {
        guard let other = targets[name] else { continue }
        if rank(other) > rank(target) { print("\(target.name): depends on \(name), which is in a layer above it") }
    }
    let files = swiftFiles(in: path, but: target.exclude)
    guard !files.isEmpty else { continue }
    var imported: Set<String> = []
    for file in files {
        let full = "\(path)/\(file)"
        filesOfFolder[(full as NSString).deletingLastPathComponent, default: 0] += 1
        for module in modules(importedBy: full) where targets[module] != nil && module != target.name {
            if imported.insert(module).inserted, !declared.contains(module) {
                print("\(target.name): \(full) imports \(module), which the manifest does not declare")
            }
        }
    }
    for name in declared.subtracting(imported).sorted() where targets[name] != nil {
        print("\(target.name): declares \(name), which it does not import")
    }
}
for (folder, count) in filesOfFolder.sorted(by: { $0.key < $1.key })
where folder.hasPrefix("Shared/") && count > mostFilesOfAFolder {
    print("\(folder): has \(count) Swift files; cut it (the limit is \(mostFilesOfAFolder))")
}
