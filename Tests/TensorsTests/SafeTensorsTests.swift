import Foundation
import Tensors
import Testing

@Suite final class SafeTensorsTests {
    private let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).safetensors").path

    deinit { try? FileManager.default.removeItem(atPath: path) }

    private func write(header: String, content: Data = Data()) throws {
        let length = UInt64(header.utf8.count)
        let start = Data((0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) })
        try (start + Data(header.utf8) + content).write(to: URL(filePath: path))
    }

    @Test func givesBackWhatWasWritten() throws {
        let tensors = [
            NamedTensor("b", Tensor([1, -0.0, .infinity, .leastNonzeroMagnitude, 5, 6], shape: [2, 3])),
            NamedTensor("a", Tensor([7], shape: [])),
            NamedTensor("empty", Tensor([], shape: [0, 4])),
        ]
        try SafeTensors.write(tensors, metadata: ["format": "pt"], to: path)
        let file = try SafeTensors(path: path)
        #expect(file.names == ["a", "b", "empty"])
        #expect(file.metadata == ["format": "pt"])
        for named in tensors { #expect(try file.tensor(named.name).isBitIdentical(to: named.tensor)) }
        let bytes = try Data(contentsOf: URL(filePath: path))
        #expect(bytes[0] % 8 == 0, "values are aligned to 8 bytes")
        try SafeTensors.write(tensors, metadata: ["format": "pt"], to: path)
        #expect(try Data(contentsOf: URL(filePath: path)) == bytes)
    }

    @Test func readsEveryHalfPrecisionNumber() throws {
        let halves = (0...UInt16.max).map { $0 }
        let content = halves.withUnsafeBytes { Data($0) }
        try write(
            header: #"{"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]},"#
                + #""b":{"dtype":"BF16","shape":[256,256],"data_offsets":[131072,262144]}}"#,
            content: content + content
        )
        let file = try SafeTensors(path: path)
        let (h, b) = (try file.tensor("h").values, try file.tensor("b").values)
        for bits in halves {
            let half = Float(Float16(bitPattern: bits))
            let brain = Float(bitPattern: UInt32(bits) << 16)
            #expect(h[Int(bits)] == half || h[Int(bits)].isNaN && half.isNaN)
            #expect(b[Int(bits)] == brain || b[Int(bits)].isNaN && brain.isNaN)
        }
    }

    @Test(arguments: [
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "of 8 bytes lies at [0, 4]"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 3, "the file has"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "does not follow"),
        (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "shape [-1]"),
        (#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#, 4, "shape [46116"),
        (#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#, 4, "type F33"),
        (#"{"a":{"shape":[1]}}"#, 0, "not a JSON object that describes tensors"),
        ("nonsense", 0, "not a JSON object"),
    ])
    func aDamagedHeaderIsRefused(header: String, bytes: Int, reason: String) throws {
        try write(header: header, content: Data(count: bytes))
        let error = #expect(throws: SafeTensorsError.self) { try SafeTensors(path: self.path) }
        #expect("\(try #require(error))".contains(reason))
    }

    @Test func aLengthPastTheEndIsRefused() throws {
        try Data([255, 255, 255, 255, 255, 255, 255, 255, 1]).write(to: URL(filePath: path))
        let error = #expect(throws: SafeTensorsError.self) { try SafeTensors(path: self.path) }
        #expect("\(try #require(error))".contains("the header's length is 18446744073709551615 in a file of 9 bytes"))
        try Data([1, 2]).write(to: URL(filePath: path))
        #expect(throws: SafeTensorsError.malformed(path: path, reason: "it has 2 bytes")) {
            try SafeTensors(path: self.path)
        }
    }

    @Test func typesThatAreNotReadAreNamed() throws {
        try write(header: #"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, content: Data(count: 8))
        let file = try SafeTensors(path: path)
        #expect(throws: SafeTensorsError.unsupportedType(path: path, name: "a", type: "I64")) { try file.tensor("a") }
        #expect(throws: SafeTensorsError.missing(path: path, name: "b")) { try file.tensor("b") }
    }

    @Test func aHeaderIsHeldAgainstWhatAModelNeedsBeforeAValueIsRead() throws {
        // The values are not finite: whoever reads one finds that out.
        try SafeTensors.write([NamedTensor("a", Tensor([.nan, 1], shape: [2, 1]))], to: path)
        let file = try SafeTensors(path: path)
        try file.check([("a", [2, 1])])
        try file.check([], allowOthers: true)
        #expect(throws: SafeTensorsError.shape(path: path, name: "a", found: [2, 1], expected: [1_000_000_000, 1])) {
            try file.check([("a", [1_000_000_000, 1])])
        }
        #expect(throws: SafeTensorsError.missing(path: path, name: "b")) {
            try file.check([("a", [2, 1]), ("b", [1])])
        }
        #expect(throws: SafeTensorsError.unexpected(path: path, names: ["a"])) { try file.check([]) }
    }

    @Test func aWeightThatIsNotFiniteIsNamed() throws {
        try SafeTensors.write([NamedTensor("a", Tensor([1, 2, -.infinity, .nan], shape: [2, 2]))], to: path)
        let file = try SafeTensors(path: path)
        let expected = SafeTensorsError.notFinite(path: path, name: "a", index: 2, value: -.infinity)
        #expect(throws: expected) { try file.weight("a") }
        #expect(throws: expected) { try file.load(into: [NamedTensor("a", Tensor(shape: [2, 2]))]) }
        #expect("\(expected)".contains("value 2 of tensor a is -inf, expected a finite number"))
        // Half precision is checked as it is read: infinite in F16, not a number in BF16.
        try write(
            header: #"{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"#
                + #""b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]}}"#,
            content: Data([0, 0x3C, 0, 0x7C, 0xC0, 0x7F])
        )
        let halves = try SafeTensors(path: path)
        #expect(throws: SafeTensorsError.notFinite(path: path, name: "h", index: 1, value: .infinity)) {
            try halves.weight("h")
        }
        let error = #expect(throws: SafeTensorsError.self) { try halves.weight("b") }
        #expect("\(try #require(error))".contains("value 0 of tensor b is nan"))
    }

    @Test func aPipeOrFolderInAFilesPlaceIsRefused() throws {
        #expect(mkfifo(path, 0o600) == 0)
        for place in [path, FileManager.default.temporaryDirectory.path, "/dev/zero"] {
            let error = #expect(throws: SafeTensorsError.self) { try SafeTensors(path: place) }
            #expect("\(try #require(error))".contains("is no file but a folder, pipe or device"))
        }
    }

    @Test func aFileThatIsNotThereIsNamed() throws {
        let error = #expect(throws: SafeTensorsError.self) { try SafeTensors(path: self.path + ".none") }
        #expect("\(try #require(error))".contains(path + ".none"))
    }

    @Test func aFileWrittenInPiecesEqualsOneWrittenAtOnce() throws {
        let tensors = [
            NamedTensor("a", Tensor([1, 2, 3, 4], shape: [2, 2])), NamedTensor("b", Tensor([5], shape: [1])),
        ]
        try SafeTensors.write(tensors, metadata: ["users": "[]"], to: path)
        let whole = try Data(contentsOf: URL(filePath: path))
        let writer = try SafeTensorsWriter(
            path: path,
            tensors: [.init("a", shape: [2, 2]), .init("b", shape: [1])],
            metadata: ["users": "[]"]
        )
        for piece: [Float] in [[1], [2, 3], [], [4, 5]] { try writer.append(piece) }
        try writer.finish()
        #expect(try Data(contentsOf: URL(filePath: path)) == whole)

        let counts = try SafeTensorsWriter(
            path: path,
            tensors: [.init("n", .int32, shape: [2]), .init("x", shape: [1])]
        )
        try counts.append([7, -1] as [Int32])
        try counts.append([0.5] as [Float])
        try counts.finish()
        let file = try SafeTensors(path: path)
        #expect(file.shape(of: "n") == [2])
        #expect(try file.tensor("x").values == [0.5])
        #expect(throws: SafeTensorsError.unsupportedType(path: path, name: "n", type: "I32")) { try file.tensor("n") }
    }

    @Test func aFileThatFailsHalfWayLeavesTheOldOne() throws {
        struct Broken: Error {}
        try Data("old".utf8).write(to: URL(filePath: path))
        #expect(throws: Broken.self) {
            try DurableFile.write(to: self.path) { temporary in
                try Data("new".utf8).write(to: URL(filePath: temporary))
                throw Broken()
            }
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
        try DurableFile.write(to: path) { try Data("new".utf8).write(to: URL(filePath: $0)) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "new")
        let folder = URL(filePath: path).deletingLastPathComponent()
        let name = URL(filePath: path).lastPathComponent
        let beside = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(beside.filter { $0.contains(name) } == [name], "a temporary file was left")
        #expect(throws: DurableWriteError.self) { try DurableFile.write(to: folder.path) { _ in } }
    }

    @Test func aFolderThatFailsHalfWayLeavesTheOldOne() throws {
        struct Broken: Error {}
        let folder = path + ".folder"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func write(_ text: String, fail: Bool) throws {
            try DurableFolder.write(to: folder) { temporary in
                try Data(text.utf8).write(to: URL(filePath: temporary + "/file"))
                if fail { throw Broken() }
            }
        }
        try write("old", fail: false)
        #expect(throws: Broken.self) { try write("new", fail: true) }
        #expect(try String(contentsOfFile: folder + "/file", encoding: .utf8) == "old")
        try write("new", fail: false)
        #expect(try String(contentsOfFile: folder + "/file", encoding: .utf8) == "new")
        let beside = try FileManager.default.contentsOfDirectory(
            atPath: URL(filePath: folder).deletingLastPathComponent().path
        )
        let name = URL(filePath: folder).lastPathComponent
        #expect(beside.filter { $0.contains(name) } == [name], "a temporary folder was left")
    }
}
