import Datasets
import Foundation

/// Data sets as people have them, in every form that is read.
enum FileTargets {
    static let all = [dataset, preparedSequences]

    /// A form of data set: its file of events, and the file with titles beside it.
    private struct Form {
        let events: (name: String, text: String)
        var metadata: (name: String, text: String)?
        var format: DatasetFormat?
    }

    private static let forms: [Form] = [
        Form(
            events: ("ratings.csv", "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n2,31,4.0,835355493\n"),
            metadata: ("movies.csv", "movieId,title,genres\n31,\"Dangerous, \"\"Minds\"\" (1995)\",Drama|Comedy\n")
        ),
        Form(
            events: ("ratings.dat", "1::1193::5::978300760\n1::661::3::978302109\n"),
            metadata: ("movies.dat", "1193::One Flew (1975)::Drama\n661::James: a::b (1996)::Animation|Musical\n")
        ),
        Form(
            events: (
                "reviews.json",
                #"{"reviewerID": "A1", "asin": "B1", "overall": 5.0, "reviewText": "Caf\u00e9 \ud83d\ude00", "#
                    + "\"unixReviewTime\": 1393545600}\n"
            ),
            metadata: (
                "meta_reviews.json", "{'asin': 'B1', 'title': \"Child's &amp; \\xe9\", 'categories': [['H', 'L']]}\n"
            )
        ),
        Form(
            events: (
                "Lamps.jsonl",
                #"{"rating": 5.0, "title": "good", "text": "t", "asin": "C1", "parent_asin": "B1", "user_id": "A1", "#
                    + "\"timestamp\": 1393545600000}\n"
            ),
            metadata: (
                "meta_Lamps.jsonl",
                #"{"main_category": "Home", "title": "Lamp", "parent_asin": "B1", "categories": ["A", "B"]}"# + "\n"
            )
        ),
        Form(
            events: (
                "review-Hawaii.json",
                #"{"user_id": "1", "name": "n", "time": 1393545600000, "rating": 5, "text": null, "gmap_id": "0x1:0x2"}"#
                    + "\n"
            )
        ),
        Form(events: ("sequences.txt", "1 10 11 12\n2 10 13\n"), format: .sequences),
        Form(
            events: (
                "events.ndjson",
                #"{"user":"u","item":"i","rating":4.5,"categories":["a"],"time":"2026-01-31T12:00:00Z"}"# + "\n"
            ),
            metadata: ("catalogue.json", #"{"items":[{"id":"i","title":"T","categories":["a"]}]}"#)
        ),
        Form(
            events: (
                "ml.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t31\t2.5\t1260759144\n"
            )
        ),
    ]

    /// The first byte says the form and whether bad lines are left out, the second whether the events are compressed.
    private static let dataset = FuzzTarget(
        name: "dataset",
        seeds: {
            try forms.enumerated().flatMap { (index, form) -> [[UInt8]] in
                [try seed(index, form, compressed: false), try seed(index, form, compressed: true)]
            }
        },
        words: RecordTargets.jsonWords + [
            "::", "\t", ",", "\"\"", "\r\n", ":token", ":float", "|", "&amp;", "\\xe9", "None",
        ],
        run: { bytes in
            var input = FuzzInput(bytes)
            let kind = input.byte()
            let form = forms[Int(kind & 0x7F) % forms.count]
            let name = form.events.name + (input.byte() & 1 == 1 ? ".gz" : "")
            try ScratchFolder.write(name, input.bytes())
            defer { ScratchFolder.remove(name) }
            if let metadata = form.metadata { try ScratchFolder.write(metadata.name, input.bytes()) }
            defer { if let metadata = form.metadata { ScratchFolder.remove(metadata.name) } }
            let folder = try DatasetFolder(path: "\(ScratchFolder.path)/\(name)", format: form.format)
            _ = try folder.prepared(PreparationOptions(skipsBadLines: kind & 0x80 != 0))
        }
    )

    private static func seed(_ index: Int, _ form: Form, compressed: Bool) throws -> [UInt8] {
        var seed = FuzzSeed()
        seed.byte(UInt8(index))
        seed.byte(compressed ? 1 : 0)
        seed.bytes(compressed ? Gzip.stored(form.events.text) : Array(form.events.text.utf8))
        if let metadata = form.metadata { seed.text(metadata.text) }
        return seed.input
    }

    /// A prepared data set's file of events, beside a catalogue and a manifest that are right.
    private static let preparedSequences = FuzzTarget(
        name: "prepared-dataset",
        seeds: {
            let form = forms[0]
            try ScratchFolder.write(form.events.name, Array(form.events.text.utf8))
            defer { ScratchFolder.remove(form.events.name) }
            let folder = ScratchFolder.path + "/prepared"
            try DatasetFolder(path: "\(ScratchFolder.path)/\(form.events.name)").prepared().write(to: folder)
            return try ["prepared.json", "sequences.bin", "catalogue.json"].enumerated().map { index, name in
                [UInt8(index)] + (try Data(contentsOf: URL(filePath: "\(folder)/\(name)")))
            }
        },
        words: RecordTargets.jsonWords,
        run: { bytes in
            guard let first = bytes.first else { return }
            let changed = preparedFiles[Int(first) % preparedFiles.count].name
            for file in preparedFiles {
                try ScratchFolder.write(file.name, file.name == changed ? Array(bytes.dropFirst()) : file.bytes)
            }
            _ = try PreparedDataset(contentsOf: ScratchFolder.path)
        }
    )

    private static let preparedFiles: [(name: String, bytes: [UInt8])] = {
        let seeds = (try? preparedSequences.seeds()) ?? []
        precondition(seeds.count == 3, "the prepared data set of the seeds was not written")
        return zip(["prepared.json", "sequences.bin", "catalogue.json"], seeds).map { ($0, Array($1.dropFirst())) }
    }()
}

/// Gzip files for seeds.
enum Gzip {
    /// A gzip file that holds a text of up to 65,535 bytes in one block without compression.
    ///
    /// - Source: RFC 1951 and 1952.
    static func stored(_ text: String) -> [UInt8] {
        func littleEndian(_ value: UInt32, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
        }
        let bytes = Array(text.utf8)
        let count = UInt32(bytes.count)
        var checksum: UInt32 = ~0
        for byte in bytes {
            checksum ^= UInt32(byte)
            for _ in 0..<8 { checksum = checksum & 1 == 1 ? checksum >> 1 ^ 0xEDB8_8320 : checksum >> 1 }
        }
        return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1] + littleEndian(count, 2) + littleEndian(~count, 2) + bytes
            + littleEndian(~checksum, 4) + littleEndian(count, 4)
    }
}
