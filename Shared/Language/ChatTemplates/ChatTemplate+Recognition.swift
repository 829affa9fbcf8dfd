internal import Bytes

extension ChatTemplate {
    /// Maximum length of a template in bytes; the longest published ones have 20,000.
    private static let longest = 1 << 20

    /// ChatML with a system message of its own, which stands between the two parts.
    private static let chatML = (
        before: "{%for message in messages%}{%if loop.first and messages[0]['role'] != 'system'%}"
            + "{{'<|im_start|>system\n",
        after: "<|im_end|>\n'}}{%endif%}" + chatMLTurns,
        plain: "{%for message in messages%}" + chatMLTurns
    )
    private static let chatMLTurns = """
        {{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{%endfor%}\
        {%if add_generation_prompt%}{{'<|im_start|>assistant\n'}}{%endif%}
        """

    /// SHA-256 of published templates in canonical form, and the name of the template that renders like them.
    private static let digests = [
        "52238843d284618d9d679fac898eda1b7d600009196966e407852c4708fbf4d7": "chatml",  // Qwen3-4B-Instruct-2507
        "03f525a49f5cfb2a189a54dca24a83fb0642b23b9ec8ab19ff42ff912277a8af": "qwen2.5",  // Qwen2.5-7B-Instruct
        "258f78245bbe67bd847d414834153985e6c86d969dafad311930e73657500322": "qwen3",  // Qwen3-0.6B
        "ea5c78b580e449a87cea8b2fa39c241de54fd8021a0e15a44860bb1d22563886": "llama3",  // Meta-Llama-3-8B-Instruct
        "4f088b7d95026a065a2c05870d2e33985c5e7c863eb8fad0ef9d8f80b10b04f6": "llama3.1",  // Llama-3.1-8B-Instruct
        "361e25f033989c8f0fdee5ec91c0da47fe8b41d7475af43c7fdb8619af9fb842": "llama3.2",  // Llama-3.2-1B-Instruct
        "3c467ab7180cb1a807f7c79bdda61d4843cbd6dcd8c6e79d4958ff8c4046d767": "zephyr",  // zephyr-7b-beta, TinyLlama
        "3720b3857a51b91d34bb9434897775ccb55672a726a824ce1ffca5c58a4bea5a": "gemma",  // gemma-2b-it, gemma-2-2b-it
        "9fd9d816cec7d9f70e7d8bd6606ff78e1a6a67723a1a3c738fe37c39ec1fe5a2": "gemma3",  // gemma-3-1b-it
        "94dca660904966158f05f6138063b9515ba7888a5214eb4685d2a655329a5ae4": "phi3",  // Phi-3-mini-4k-instruct
        "7aa7994e5c147de7a0bbfb20a20d599b9286087e1b4aa329491f6acb70ded529": "phi3.5",  // Phi-3.5-mini-instruct
        "742fadd6117e1d878f2128fecf1f540d6f78539d66fa281ccbc00fb14b7f5fbf": "phi4-mini",  // Phi-4-mini-instruct
    ]

    /// The template that a model's Jinja text is.
    ///
    /// A text is recognised when it is a published one, but for what Jinja does not see either: how line ends are
    /// written, spaces within a tag, and one line break at the end. So no template is ever taken for another.
    ///
    /// - Parameter text: `chat_template` of `tokenizer_config.json`, `chat_template.jinja`, or
    ///   `tokenizer.chat_template` of a GGUF file.
    /// - Returns: the template, with the published models' marks at the ends of texts.
    /// - Throws: `ChatTemplateError.unknownTemplate`, which says how the text begins and how to choose by name.
    public static func recognised(in text: String) throws(ChatTemplateError) -> ChatTemplate {
        let beginning = String(text.unicodeScalars.prefix(40))
        guard text.utf8.count <= longest else { throw .unknownTemplate(beginning: beginning) }
        let canonical = JinjaText.canonical(text)
        if canonical.utf8.elementsEqual(chatML.plain.utf8) { return ChatTemplate(.chatML(system: nil)) }
        if let system = systemMessage(canonical) { return ChatTemplate(.chatML(system: system)) }
        guard let name = digests[SHA256.hexDigest(of: canonical.utf8)] else {
            throw .unknownTemplate(beginning: beginning)
        }
        return try ChatTemplate(named: name)
    }

    /// The system message of a ChatML template; nil for any other text.
    private static func systemMessage(_ canonical: String) -> String? {
        let (text, before, after) = (Array(canonical.utf8), Array(chatML.before.utf8), Array(chatML.after.utf8))
        guard text.count >= before.count + after.count, text.starts(with: before),
            text.reversed().starts(with: after.reversed())
        else { return nil }
        let message = text[before.count..<(text.count - after.count)]
        // Plain text within the quotes: nothing that could end them, be an escape, or a mark.
        guard !message.contains(where: { #"'\<>{}"#.utf8.contains($0) }) else { return nil }
        return String(decoding: message, as: UTF8.self)
    }
}

/// The text of a Jinja template in a form that does not depend on how it is laid out.
enum JinjaText {
    /// The same for all layouts that Jinja reads alike.
    ///
    /// Line ends are line feeds, the last one is left out, as Jinja does. Within tags, white space outside of quotes
    /// shrinks to one space, and to nothing at the tag's ends; `\n` within quotes becomes the line feed that it means.
    static func canonical(_ text: String) -> String {
        var bytes: [UInt8] = []
        var wasReturn = false
        for byte in text.utf8 {
            if byte == UInt8(ascii: "\n"), wasReturn {
                wasReturn = false
                continue
            }
            wasReturn = byte == UInt8(ascii: "\r")
            bytes.append(wasReturn ? UInt8(ascii: "\n") : byte)
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        var scanner = Scanner(bytes)
        scanner.scan()
        return String(decoding: scanner.result, as: UTF8.self)
    }

    private struct Scanner {
        private let bytes: [UInt8]
        private var place = 0
        private(set) var result: [UInt8] = []

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        mutating func scan() {
            while place < bytes.count {
                if follows("{{") || follows("{%") {
                    tag(end: follows("{{") ? "}}" : "%}")
                } else if follows("{#") {
                    while place < bytes.count, !follows("#}") { take() }
                } else {
                    take()
                }
            }
        }

        private mutating func tag(end: String) {
            take()
            take()
            if follows("-") || follows("+") { take() }
            var isAtStart = true
            var hasSpace = false
            while place < bytes.count {
                if isSpace(bytes[place]) {
                    hasSpace = true
                    place += 1
                    continue
                }
                if follows(end) || follows("-" + end) || follows("+" + end) {
                    if !follows(end) { take() }
                    take()
                    take()
                    return
                }
                if hasSpace, !isAtStart { result.append(UInt8(ascii: " ")) }
                (hasSpace, isAtStart) = (false, false)
                if follows("'") || follows("\"") { quoted(bytes[place]) } else { take() }
            }
        }

        private mutating func quoted(_ quote: UInt8) {
            take()
            while place < bytes.count {
                if follows("\\n") {
                    result.append(UInt8(ascii: "\n"))
                    place += 2
                } else if follows("\\"), place + 1 < bytes.count {
                    take()
                    take()
                } else if bytes[place] == quote {
                    return take()
                } else {
                    take()
                }
            }
        }

        private mutating func take() {
            guard place < bytes.count else { return }
            result.append(bytes[place])
            place += 1
        }

        private func follows(_ text: String) -> Bool { bytes[place...].starts(with: text.utf8) }

        private func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || (0x09...0x0D).contains(byte) }
    }
}
