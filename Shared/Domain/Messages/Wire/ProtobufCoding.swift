import CMessages
import Bytes

/// Memory for the parts of a protobuf-c message while it is packed.
///
/// A message points to its texts and parts, so all of them must stay where they are until it is packed. They are laid
/// out one after another in a few blocks that are freed together.
final class MessageMemory {
    private var blocks: [UnsafeMutableRawPointer] = []
    private var free: UnsafeMutableRawPointer
    private var freeCount: Int

    init(byteCount: Int = 1_024) {
        free = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 16)
        freeCount = byteCount
        blocks.append(free)
    }

    deinit {
        for block in blocks { block.deallocate() }
    }

    private func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let rounded = (byteCount + 15) & ~15
        if rounded > freeCount {
            freeCount = max(rounded, 4_096)
            free = UnsafeMutableRawPointer.allocate(byteCount: freeCount, alignment: 16)
            blocks.append(free)
        }
        defer {
            free += rounded
            freeCount -= rounded
        }
        return free
    }

    /// A copy of a text's UTF-8.
    func bytes(_ text: String) -> ProtobufCBinaryData {
        var text = text
        return text.withUTF8 { utf8 in
            let target = take(utf8.count)
            if let start = utf8.baseAddress { target.copyMemory(from: start, byteCount: utf8.count) }
            return ProtobufCBinaryData(len: utf8.count, data: target.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// A copy of an id's bytes.
    func bytes(_ id: some ByteText) -> ProtobufCBinaryData { bytes(id.text) }

    /// Numbers as little-endian IEEE 754.
    func bytes(_ numbers: [Float]) -> ProtobufCBinaryData {
        let target = take(numbers.count * 4)
        for (index, number) in numbers.enumerated() {
            target.storeBytes(of: number.bitPattern.littleEndian, toByteOffset: index * 4, as: UInt32.self)
        }
        return ProtobufCBinaryData(len: numbers.count * 4, data: target.assumingMemoryBound(to: UInt8.self))
    }

    /// A copy of bytes.
    func bytes(_ bytes: [UInt8]) -> ProtobufCBinaryData {
        let target = take(bytes.count)
        target.copyMemory(from: bytes, byteCount: bytes.count)
        return ProtobufCBinaryData(len: bytes.count, data: target.assumingMemoryBound(to: UInt8.self))
    }

    /// Texts one after another, as a repeated field has them.
    func array(_ texts: [some ByteText]) -> UnsafeMutablePointer<ProtobufCBinaryData> {
        let target = take(texts.count * MemoryLayout<ProtobufCBinaryData>.stride)
            .bindMemory(to: ProtobufCBinaryData.self, capacity: texts.count)
        for (index, text) in texts.enumerated() { (target + index).initialize(to: bytes(text)) }
        return target
    }

    /// Numbers one after another, as a repeated field has them.
    func array<Number: BitwiseCopyable>(numbers: [Number]) -> UnsafeMutablePointer<Number> {
        let target = take(numbers.count * MemoryLayout<Number>.stride)
            .bindMemory(to: Number.self, capacity: numbers.count)
        target.initialize(from: numbers, count: numbers.count)
        return target
    }

    /// A repeated field of texts: how many, and where.
    func list(_ texts: [some ByteText]) -> (Int, UnsafeMutablePointer<ProtobufCBinaryData>) {
        (texts.count, array(texts))
    }

    /// A repeated field of numbers: how many, and where.
    func list<Number: BitwiseCopyable>(numbers: [Number]) -> (Int, UnsafeMutablePointer<Number>) {
        (numbers.count, array(numbers: numbers))
    }

    /// A repeated field of numbers, one for each element: how many, and where.
    func list<Element, Number: BitwiseCopyable>(
        _ elements: [Element],
        _ number: (Element) -> Number
    ) -> (Int, UnsafeMutablePointer<Number>) {
        list(numbers: elements.map(number))
    }

    /// Pointers to messages, as a repeated field has them.
    func array<Message>(_ messages: [Message]) -> UnsafeMutablePointer<UnsafeMutablePointer<Message>?> {
        let target = take(messages.count * MemoryLayout<UnsafeMutablePointer<Message>?>.stride)
            .bindMemory(to: UnsafeMutablePointer<Message>?.self, capacity: messages.count)
        for (index, message) in messages.enumerated() {
            let place = take(MemoryLayout<Message>.stride).bindMemory(to: Message.self, capacity: 1)
            place.initialize(to: message)
            (target + index).initialize(to: place)
        }
        return target
    }
}

/// An optional field that is there: the mark that says so, and its value.
func present<Value>(_ value: Value) -> (protobuf_c_boolean, Value) { (1, value) }

/// The wire form of a protobuf-c message; its parts live in `memory`.
func packed<Message>(_ message: Message, _ memory: MessageMemory) -> [UInt8] {
    withExtendedLifetime(memory) {
        withUnsafePointer(to: message) { pointer in
            // Every generated message begins with its ProtobufCMessage.
            let base = UnsafeRawPointer(pointer).assumingMemoryBound(to: ProtobufCMessage.self)
            let byteCount = protobuf_c_message_get_packed_size(base)
            return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
                count = byteCount == 0 ? 0 : protobuf_c_message_pack(base, buffer.baseAddress)
            }
        }
    }
}

/// A protobuf-c message from its wire form; the caller frees it.
func unpacked<Message>(
    _ bytes: [UInt8],
    _ name: String,
    _ unpack: (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?) -> UnsafeMutablePointer<Message>?
) throws(MessageError) -> UnsafeMutablePointer<Message> {
    let message = bytes.withUnsafeBufferPointer { unpack(nil, $0.count, $0.baseAddress) }
    guard let message else {
        throw MessageError(
            field: nil,
            reason: "the \(bytes.count) bytes are not a Protocol Buffers \(name): send one, or JSON with the header "
                + "content-type: application/json"
        )
    }
    return message
}

extension ProtobufCBinaryData {
    private var buffer: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: data, count: len) }

    /// A copy of the bytes.
    var bytes: [UInt8] { [UInt8](buffer) }

    /// The bytes as text, which must be UTF-8.
    func text(_ field: String) throws(MessageError) -> String {
        try validText(buffer, field)
    }

    /// The bytes as an id, which must be UTF-8.
    func id<ID: ByteText>(_ field: String) throws(MessageError) -> ID { ID(try text(field)) }

    /// The bytes as little-endian numbers.
    func numbers(_ field: String) throws(MessageError) -> [Float] {
        guard len % 4 == 0 else {
            throw MessageError(field: field, reason: "has \(len) bytes: send 4 for each number")
        }
        let raw = UnsafeRawBufferPointer(buffer)
        return [Float](unsafeUninitializedCapacity: len / 4) { target, count in
            count = len / 4
            for index in 0..<count {
                let bits = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
                target.initializeElement(at: index, to: Float(bitPattern: bits))
            }
        }
    }
}

/// The texts of a repeated field.
func texts(
    _ values: UnsafeMutablePointer<ProtobufCBinaryData>?,
    _ count: Int,
    _ field: String
) throws(MessageError) -> [String] {
    guard let values, count > 0 else { return [] }
    var result: [String] = []
    result.reserveCapacity(count)
    for index in 0..<count { result.append(try values[index].text("\(field)[\(index)]")) }
    return result
}
