/// The unit of a time that is a number.
public enum TimeUnit: Int64, Sendable, CaseIterable {
    /// As in Unix.
    case seconds = 1_000_000_000
    /// As in Java and JavaScript.
    case milliseconds = 1_000_000
    /// As in PostgreSQL and BigQuery.
    case microseconds = 1_000
    /// As in pandas and Go.
    case nanoseconds = 1

    /// The numbers that are plausible in this unit only.
    ///
    /// | unit | from | to |
    /// |---|---|---|
    /// | seconds | 3e8 (5 July 1979) | 1e10, exclusive (20 November 2286) |
    /// | milliseconds | 3e11 (5 July 1979) | the end of the year 9999 |
    /// | microseconds | 3e14 (5 July 1979) | 1e16, exclusive (20 November 2286) |
    /// | nanoseconds | 3e17 (5 July 1979) | 2^63 - 1 (11 April 2262) |
    ///
    /// Every number of milliseconds from July 1979 to the end of `Limits.times` is read correctly, including one that
    /// stands for "forever". A number in none of the ranges is ambiguous: 86,400 is a day in seconds, or a minute and a
    /// half.
    public var plausible: ClosedRange<Int64> {
        switch self {
        case .seconds: 300_000_000...9_999_999_999
        case .milliseconds: 300_000_000_000...Limits.times.upperBound
        case .microseconds: 300_000_000_000_000...9_999_999_999_999_999
        case .nanoseconds: 300_000_000_000_000_000...Int64.max
        }
    }

    /// The unit that a number is in; nil when it is ambiguous, like 20260131120000, which some systems write for a
    /// date.
    public init?(ofNumber number: Int64) {
        guard number < Timestamp.datesWithTimes.lowerBound || !Timestamp.looksLikeDate(number) else { return nil }
        guard let unit = Self.allCases.first(where: { $0.plausible.contains(number) }) else { return nil }
        self = unit
    }
}

extension Timestamp {
    /// Milliseconds since 1970 from a number whose unit is inferred from its size; nil when that is ambiguous.
    ///
    /// Parts of a millisecond are dropped.
    public static func milliseconds(ofNumber number: Int64) -> Int64? {
        switch TimeUnit(ofNumber: number) {
        case .seconds: number * 1_000
        case .milliseconds: number
        case .microseconds: number / 1_000
        case .nanoseconds: number / 1_000_000
        case nil: nil
        }
    }

    /// Milliseconds since 1970 from a number with a fraction, as from Python's `time.time()`; nil when it is ambiguous.
    public static func milliseconds(ofNumber number: Double) -> Int64? {
        // A Double holds present-day times to the microsecond; anything finer is noise.
        guard let whole = Int64(exactly: number.rounded(.down)) else { return nil }
        guard TimeUnit(ofNumber: whole) == .seconds else { return milliseconds(ofNumber: whole) }
        return Int64((number * 1_000).rounded())
    }

    /// What a number must be to be accepted as a time; completes "must be".
    public static let expectedNumber =
        "a number of seconds, milliseconds, microseconds or nanoseconds since 1970, for a time after July 1979"

    /// What a time in JSON must be; completes "must be" and "send".
    public static let expected =
        "an ISO 8601 text with a time zone (2026-01-31T12:00:00Z), or \(expectedNumber)"

    /// Whether a number of milliseconds was probably sent in seconds: it lies in January to April 1970.
    public static func looksLikeSeconds(_ milliseconds: Int64) -> Bool {
        TimeUnit.seconds.plausible.contains(milliseconds)
    }

    /// Dates with a time of day, written as one number, year first; read as milliseconds they lie past 2570.
    static let datesWithTimes: ClosedRange<Int64> = 19_000_101_000_000...21_991_231_235_959

    /// Whether a number looks like a date, `20260131`, or a date with a time of day, `20260131120000`.
    public static func looksLikeDate(_ number: Int64) -> Bool {
        let date: Int64
        if datesWithTimes.contains(number) {
            let ofDay = number % 1_000_000
            guard ofDay / 10_000 < 24, ofDay / 100 % 100 < 60, ofDay % 100 < 60 else { return false }
            date = number / 1_000_000
        } else {
            date = number
        }
        return (19_000_101...21_991_231).contains(date) && (1...12).contains(date / 100 % 100)
            && (1...31).contains(date % 100)
    }

    /// A time as text, as in `2026-01-31T12:00:00.250Z`; milliseconds since 1970 outside `Limits.times` count as its
    /// ends.
    public static func text(_ milliseconds: Int64) -> String {
        let milliseconds = min(max(milliseconds, Limits.times.lowerBound), Limits.times.upperBound)
        let (days, ofDay) = milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        // Never too late, because no year is longer than 366 days.
        var year = 1970 + days / 366
        while Self.days(before: year + 1) <= days { year += 1 }
        var rest = days - Self.days(before: year)
        var month = 0
        let lengths = monthLengths(year)
        while rest >= lengths[month] {
            rest -= lengths[month]
            month += 1
        }
        func padded(_ number: Int64, _ digits: Int = 2) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        let date = "\(padded(year, 4))-\(padded(Int64(month) + 1))-\(padded(rest + 1))"
        let time = "\(padded(ofDay / 3_600_000)):\(padded(ofDay / 60_000 % 60)):\(padded(ofDay / 1_000 % 60))"
        let fraction = ofDay % 1_000
        return "\(date)T\(time)" + (fraction == 0 ? "Z" : ".\(padded(fraction, 3))Z")
    }
}
