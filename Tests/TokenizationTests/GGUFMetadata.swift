import Foundation
import Tokenization

/// Reads the tokenizer out of a GGUF file that is known to be sound, for tests: product code reads it with `ModelFiles`.
struct GGUFMetadata {
    private let data: Data
    private var place = 24

    static func vocabulary(of path: String) throws -> GGUFVocabulary {
        var reader = GGUFMetadata(data: try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe))
        var fields: [String: Any] = [:]
        let count: UInt64 = reader.data.subdata(in: 16..<24).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        for _ in 0..<count {
            let name = reader.string()
            fields[name] = reader.value(reader.number() as UInt32)
        }
        return GGUFVocabulary(
            model: fields["tokenizer.ggml.model"] as? String ?? "",
            preTokenizer: fields["tokenizer.ggml.pre"] as? String,
            tokens: fields["tokenizer.ggml.tokens"] as? [String] ?? [],
            types: (fields["tokenizer.ggml.token_type"] as? [Int64] ?? []).map { Int32($0) },
            merges: fields["tokenizer.ggml.merges"] as? [String] ?? [],
            addsBegin: (fields["tokenizer.ggml.add_bos_token"] as? Int64).map { $0 != 0 },
            addsSpacePrefix: (fields["tokenizer.ggml.add_space_prefix"] as? Int64).map { $0 != 0 }
        )
    }

    private init(data: Data) { self.data = data }

    private mutating func number<Number: FixedWidthInteger>() -> Number {
        defer { place += MemoryLayout<Number>.size }
        return data[place..<(place + MemoryLayout<Number>.size)].withUnsafeBytes { $0.loadUnaligned(as: Number.self) }
    }

    private mutating func string() -> String {
        let count = Int(number() as UInt64)
        defer { place += count }
        return String(decoding: data[place..<(place + count)], as: UTF8.self)
    }

    private mutating func value(_ type: UInt32) -> Any {
        switch type {
        case 0, 1, 7: Int64(number() as UInt8)
        case 2, 3: Int64(number() as UInt16)
        case 4, 5, 6: Int64(number() as UInt32)
        case 8: string()
        case 9: array()
        default: Int64(truncatingIfNeeded: number() as UInt64)
        }
    }

    private mutating func array() -> Any {
        let type: UInt32 = number()
        let values = (0..<Int(number() as UInt64)).map { _ in value(type) }
        return type == 8 ? values.compactMap { $0 as? String } as Any : values.compactMap { $0 as? Int64 } as Any
    }
}
