import Foundation

/// Writes small GGUF files, right or wrong.
struct GGUFBuilder {
    /// A value with the number of its type.
    enum Value {
        case uint32(UInt32)
        case float32(Float)
        case bool(UInt8)
        case string(String)
        case strings([String])
        case int32s([Int32])
        /// A type's number and any bytes.
        case raw(UInt32, [UInt8])

        var bytes: [UInt8] {
            switch self {
            case .uint32(let value): little(UInt32(4)) + little(value)
            case .float32(let value): little(UInt32(6)) + little(value.bitPattern)
            case .bool(let value): little(UInt32(7)) + [value]
            case .string(let value): little(UInt32(8)) + text(value)
            case .strings(let values):
                little(UInt32(9)) + little(UInt32(8)) + little(UInt64(values.count)) + values.flatMap(text)
            case .int32s(let values):
                little(UInt32(9)) + little(UInt32(5)) + little(UInt64(values.count)) + values.flatMap { little($0) }
            case .raw(let type, let bytes): little(type) + bytes
            }
        }
    }

    /// A tensor: its dimensions are in the file's order, its offset is set where it is to be another than its place.
    struct Tensor {
        var name: String
        var dimensions: [UInt64]
        var type: UInt32 = 0
        var bytes: [UInt8]
        var offset: UInt64?
    }

    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    var keys: [(name: String, value: Value)] = []
    var tensors: [Tensor] = []
    var tensorCount: UInt64?
    var keyCount: UInt64?
    var alignment = 32

    /// The same with a key's value replaced, or added.
    mutating func set(_ name: String, _ value: Value?) {
        keys.removeAll { $0.name == name }
        if let value { keys.append((name, value)) }
    }

    var bytes: [UInt8] {
        var header = magic + little(version)
        header += little(tensorCount ?? UInt64(tensors.count)) + little(keyCount ?? UInt64(keys.count))
        for key in keys { header += text(key.name) + key.value.bytes }
        var data: [UInt8] = []
        for tensor in tensors {
            data += [UInt8](repeating: 0, count: (alignment - data.count % alignment) % alignment)
            header += text(tensor.name) + little(UInt32(tensor.dimensions.count))
            header += tensor.dimensions.flatMap { little($0) } + little(tensor.type)
            header += little(tensor.offset ?? UInt64(data.count))
            data += tensor.bytes
        }
        return header + [UInt8](repeating: 0, count: (alignment - header.count % alignment) % alignment) + data
    }

    /// A model of one block with all its weights zero: width 32, 2 heads of 16, 1 key and value head, 4 tokens.
    static func model(_ architecture: String = "llama") -> GGUFBuilder {
        var builder = GGUFBuilder()
        let a = architecture
        builder.keys = [
            ("general.architecture", .string(a)), ("\(a).block_count", .uint32(1)),
            ("\(a).context_length", .uint32(64)),
            ("\(a).embedding_length", .uint32(32)), ("\(a).feed_forward_length", .uint32(32)),
            ("\(a).attention.head_count", .uint32(2)), ("\(a).attention.head_count_kv", .uint32(1)),
            ("\(a).attention.layer_norm_rms_epsilon", .float32(1e-5)),
            ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.tokens", .strings(["a", "b", "c", "d"])),
            ("tokenizer.ggml.token_type", .int32s([1, 1, 3, 4])), ("tokenizer.ggml.eos_token_id", .uint32(2)),
            ("tokenizer.ggml.merges", .strings([])),
        ]
        let shapes: [(String, [UInt64])] = [
            ("token_embd", [32, 4]), ("blk.0.attn_norm", [32]), ("blk.0.attn_q", [32, 32]), ("blk.0.attn_k", [32, 16]),
            ("blk.0.attn_v", [32, 16]), ("blk.0.attn_output", [32, 32]), ("blk.0.ffn_norm", [32]),
            ("blk.0.ffn_gate", [32, 32]), ("blk.0.ffn_up", [32, 32]), ("blk.0.ffn_down", [32, 32]),
            ("output_norm", [32]),
        ]
        for (name, shape) in shapes {
            let count = Int(shape.reduce(1, *))
            builder.tensors.append(
                Tensor(name: "\(name).weight", dimensions: shape, bytes: [UInt8](repeating: 0, count: 4 * count))
            )
        }
        return builder
    }
}

private func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
}

private func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }
