import Testing

@testable import Messages

@Suite struct TimestampTests {
    @Test(arguments: [
        ("2020-05-05T14:08:48Z", 1_588_687_728_000), ("2020-05-05T14:08:48+00", 1_588_687_728_000),
        ("2020-05-05T16:08:48+02", 1_588_687_728_000), ("2020-05-05T16:08:48+0200", 1_588_687_728_000),
        ("2020-05-05T16:08:48+02:00", 1_588_687_728_000), ("2020-05-05 08:38:48.250-0530", 1_588_687_728_250),
        ("2020-05-05t08:38:48,25-05:30", 1_588_687_728_250), ("2020-05-05T04:08:48-10", 1_588_687_728_000),
        ("1970-01-01T00:00Z", 0), ("2000-02-29T00:00:00Z", 951_782_400_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000), ("2020-05-05T14:08:48.123456789Z", 1_588_687_728_123),
    ])
    func readsISO8601(text: String, milliseconds: Int64) {
        #expect(Timestamp.milliseconds(text.utf8) == milliseconds)
    }

    @Test(arguments: [
        "", "2020", "2020-05-05", "2020-05-05T14:08:48", "2020-05-05T14:08:48+", "2020-05-05T14:08:48+0",
        "2020-05-05T14:08:48+000",
        "2020-05-05T14:08:48+00:", "2020-05-05T14:08:48+00:0", "2020-05-05T14:08:48+00:000", "2020-05-05T14:08:48+24",
        "2020-05-05T14:08:48+00:60", "2020-05-05T14:08:48z ", "2020-13-05T14:08:48Z", "2021-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z", "2020-05-05T24:00:00Z", "2020-05-05T14:60:00Z", "2020-05-05T14:08:61Z",
        "2020-05-05T14:08:48.Z",
        "1588687728", "20200505T140848Z", "5 May 2020",
    ])
    func refusesWhatIsNoTime(text: String) {
        #expect(Timestamp.milliseconds(text.utf8) == nil)
    }

    /// The same moments in each unit: of MovieLens, Amazon and today.
    @Test(
        arguments: [(789_652_009, 1_995), (1_588_687_728, 2_020), (1_790_000_000, 2_026), (300_000_000, 1_979)]
            as [(Int64, Int)]
    )
    func tellsUnitsApartBySize(seconds: Int64, year: Int) {
        let milliseconds = seconds * 1_000
        #expect(Timestamp.milliseconds(ofNumber: seconds) == milliseconds)
        #expect(Timestamp.milliseconds(ofNumber: milliseconds + 7) == milliseconds + 7)
        #expect(Timestamp.milliseconds(ofNumber: seconds * 1_000_000 + 7_999) == milliseconds + 7)
        #expect(Timestamp.milliseconds(ofNumber: seconds * 1_000_000_000 + 7_999_999) == milliseconds + 7)
        #expect(Timestamp.text(milliseconds).hasPrefix("\(year)-"))
    }

    @Test func theRangesOfTheUnitsAreWhatIsWritten() {
        let ranges = TimeUnit.allCases.map(\.plausible)
        for (index, range) in ranges.enumerated() {
            for other in ranges[(index + 1)...] { #expect(!range.overlaps(other)) }
            for edge in [range.lowerBound, range.upperBound] {
                #expect(Timestamp.milliseconds(ofNumber: edge).map(Limits.times.contains) == true, "\(edge)")
            }
        }
        // Every number of milliseconds from then on is read as what it is.
        #expect(Timestamp.milliseconds(ofNumber: 300_000_000_000 as Int64) == 300_000_000_000)
        #expect(Timestamp.milliseconds(ofNumber: Limits.times.upperBound) == Limits.times.upperBound)
    }

    @Test(arguments: [
        0, 1, -1, 86_400, 299_999_999, 10_000_000_000, 299_999_999_999, 253_402_300_800_000, 299_999_999_999_999,
        10_000_000_000_000_000, 299_999_999_999_999_999, Int64.min, -1_588_687_728, 20_260_131_120_000,
        19_991_231_235_959,
    ])
    func refusesAmbiguousNumbers(number: Int64) {
        #expect(Timestamp.milliseconds(ofNumber: number) == nil)
    }

    @Test func datesWithoutMarksAreToldFromNumbers() {
        for number in [20_260_131, 19_991_231, 20_260_131_120_000, 20_261_231_235_959] as [Int64] {
            #expect(Timestamp.looksLikeDate(number), "\(number)")
        }
        let others: [Int64] = [
            0, 20_261_301, 20_260_132, 18_991_231, 22_000_101, 20_260_131_240_000, 20_260_131_126_000,
            20_260_131_120_060,
            1_700_000_000, 1_700_000_000_000, Int64.max, Int64.min,
        ]
        for number in others { #expect(!Timestamp.looksLikeDate(number), "\(number)") }
        #expect(Timestamp.milliseconds(ofNumber: 20_260_131_240_000 as Int64) == 20_260_131_240_000)
    }

    @Test(
        arguments: [
            (1_588_687_728.0, 1_588_687_728_000), (1_588_687_728.123, 1_588_687_728_123),
            (1_588_687_728.123456, 1_588_687_728_123),
            (1_588_687_728_123.75, 1_588_687_728_123), (1_588_687_728_123_456.5, 1_588_687_728_123),
        ] as [(Double, Int64)]
    )
    func readsFractionsOfSeconds(number: Double, milliseconds: Int64) {
        #expect(Timestamp.milliseconds(ofNumber: number) == milliseconds)
    }

    @Test(arguments: [0.5, -0.5, 1e300, -1e300, .infinity, .nan, 86_400.5, 1e19])
    func refusesAmbiguousFractions(number: Double) {
        #expect(Timestamp.milliseconds(ofNumber: number) == nil)
    }

    @Test func writesWhatItReads() {
        var times: [Int64] = [
            0, 1, 999, 1_000, 86_399_999, 86_400_000, 68_169_599_999, 68_169_600_000, 951_782_400_000, 951_868_799_999,
            Limits.times.upperBound,
        ]
        var time: Int64 = 17
        while time < Limits.times.upperBound {
            times.append(time)
            time += 86_400_000 * 397 + 12_345_678
        }
        for time in times { #expect(Timestamp.milliseconds(Timestamp.text(time).utf8) == time, "\(time)") }
        #expect(Timestamp.text(951_782_400_250) == "2000-02-29T00:00:00.250Z")
        #expect(Timestamp.text(1_704_067_199_000) == "2023-12-31T23:59:59Z")
    }

    @Test func tellsSecondsThatAreTakenForMilliseconds() {
        #expect(Timestamp.looksLikeSeconds(1_588_687_728))
        #expect(Timestamp.looksLikeSeconds(789_652_009))
        #expect(!Timestamp.looksLikeSeconds(1_588_687_728_000))
        #expect(!Timestamp.looksLikeSeconds(0))
        #expect(!Timestamp.looksLikeSeconds(86_400_000))
    }
}
