import Datasets
import Foundation
import Bytes
import TestSupport
import Testing

/// Whatever is in a file, reading it ends with data or with an error that names the file.
@Suite struct FuzzedFilesTests {
    private static let csv = #"""
        userId,movieId,rating,timestamp,note
        1,10,3.5,1112486027,"a
        b, ""c"""
        2,11,4.0,"2005-04-02 23:31:16",x
        "3",12,5,1112486029.5,

        """#
    private static let inter = """
        user_id:token\titem_id:token\trating:float\ttimestamp:float
        u1\ti1\t5.0\t1609459200.0
        u2\ti2\t4.0\t1609459300

        """
    private static let dat = "1::10::5::978300760\n2::11::3::978302109\n"
    private static let review = #"{"user_id": "A", "parent_asin": 7, "rating": 5.0, "timestamp": 1588687728923}"# + "\n"
    private static let catalogue =
        #"{"items": [{"id": 1, "title": "A &amp; B", "categories": ["x", null]}, {"id": "2"}]}"#

    @Test(arguments: [
        ("r.csv", csv), ("r.inter", inter), ("r.dat", dat), ("r.jsonl", review), ("r.txt", "1 10 11 12\n2 11 13\n"),
        ("movies.csv", "movieId,title,genres\n1,\"A\n, B\",X|Y\n2,C,\n"), ("catalogue.json", catalogue),
    ])
    func damagedFilesAreReadOrNamed(name: String, text: String) throws {
        let folder = try TemporaryFolder()
        var fuzzer = Fuzzer(seed: 14)
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n1,1,5,5\n")
        try folder.write("events.ndjson", #"{"user":"u","item":"1","time":1672628645000}"#)
        var (read, refused) = (0, 0)
        for _ in 0..<Fuzzer.count(full: 20_000, daily: 400) {
            let bytes = fuzzer.damaged(Array(text.utf8))
            try folder.write(name, bytes: bytes)
            let events =
                name == "movies.csv" ? "/ratings.csv" : name == "catalogue.json" ? "/events.ndjson" : "/" + name
            for skips in [false, true] {
                do {
                    let data = try DatasetFolder(path: folder.path + events)
                        .prepared(PreparationOptions(skipsBadLines: skips, dropsDuplicates: skips))
                    #expect(data.eventCount > 0)
                    read += 1
                } catch {
                    #expect(error.file != nil, "\(error)")
                    refused += 1
                }
            }
        }
        #expect(read > 0 && refused > 0)
    }
}
