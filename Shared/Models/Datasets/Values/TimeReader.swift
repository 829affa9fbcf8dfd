internal import Bytes
internal import Foundation
internal import Messages

/// Reads times in files: dates, and numbers since 1970 whose unit is inferred from their size.
///
/// Numbers are interpreted by `TimeUnit`. A number too small for any unit counts as seconds if the field is in seconds:
/// some published sets have ranks instead of times. Elsewhere it is rejected.
///
/// Ten digits may be seconds or a date with its hour: `2026013112`. A number that is a date up to now, but lies years
/// ahead as seconds, is rejected: no event is from then, and the meaning is ambiguous.
struct TimeReader {
    /// The unit in which the field is published.
    enum Unit { case seconds, milliseconds }

    let expected: Unit
    /// Counts of values whose unit differs from the expected one.
    var counts = ReadingCounts()

    /// The latest second that an event may have: a year ahead, to tolerate inaccurate clocks.
    private let latestSecond: Int64

    /// Makes a reader; `now` is in seconds since 1970.
    init(_ expected: Unit, now: Int64 = Int64(Date().timeIntervalSince1970)) {
        self.expected = expected
        latestSecond = now + 366 * 86_400
    }

    private static let plausibleSeconds = TimeUnit.seconds.plausible

    /// The time assigned to an event without one, by its position: one second apart, in an era in which no number is
    /// mistaken for one of another unit.
    static func invented(_ place: Int64) -> Int64 {
        let (time, isOver) = place.multipliedReportingOverflow(by: 1_000)
        let first = TimeUnit.milliseconds.plausible.lowerBound
        return isOver ? Limits.times.upperBound : min(first &+ max(0, time), Limits.times.upperBound)
    }

    /// Milliseconds since 1970 of a whole number; nil when it is ambiguous.
    mutating func milliseconds(_ value: Int64) -> Int64? {
        // The case of nearly all table rows.
        if expected == .seconds, Self.plausibleSeconds.contains(value), value <= latestSecond { return value * 1_000 }
        guard dateWithHour(value) == nil else { return nil }
        switch TimeUnit(ofNumber: value) {
        case .seconds:
            if expected != .seconds { counts[.timesInSeconds] += 1 }
            return value * 1_000
        case .milliseconds:
            if expected != .milliseconds { counts[.timesInMilliseconds] += 1 }
            return value
        case .microseconds:
            counts[.timesInMicroseconds] += 1
            return value / 1_000
        case .nanoseconds:
            counts[.timesInNanoseconds] += 1
            return value / 1_000_000
        case nil:
            guard expected == .seconds, value >= 0, value < TimeUnit.seconds.plausible.lowerBound,
                !Timestamp.looksLikeDate(value)
            else { return nil }
            counts[.timesOfNoEra] += 1
            return Self.invented(value)
        }
    }

    /// Milliseconds since 1970 of a table field: a number, possibly with a fraction, or a date.
    ///
    /// - Throws: `DatasetError` without file, line and field.
    mutating func milliseconds(_ bytes: [UInt8], _ field: Range<Int>) throws(DatasetError) -> Int64 {
        if let value = Int64(decimalDigits: bytes, field), let time = milliseconds(value) { return time }
        if let time = milliseconds(withFraction: bytes, field) { return time }
        if let date = Self.date(bytes[field]) {
            if !date.hasZone { counts[.timesWithoutZone] += 1 }
            return date.milliseconds
        }
        let text = String(decoding: bytes[field].prefix(200), as: UTF8.self)
        if Double(text) != nil, text.contains(where: { $0 == "e" || $0 == "E" }) {
            throw DatasetError(
                value: text,
                reason: "is rounded to a power of ten, as spreadsheets do it; write all its digits"
            )
        }
        if let value = Int64(text.prefix { $0 != "." }), let reason = refusal(of: value) {
            throw DatasetError(value: text, reason: reason)
        }
        throw DatasetError(
            value: text,
            reason: "is not a time: expected \(Timestamp.expectedNumber), or a date, as 2005-04-02 23:53:47"
        )
    }

    /// Why a number is rejected that is a time, but not since 1970; nil for any other number.
    func refusal(of value: Int64) -> String? {
        if let date = dateWithHour(value) {
            let year = Timestamp.text(value * 1_000).prefix(4)
            return "is a date with its hour, or a time in seconds in \(year), which no event is from; write the date "
                + "as \(date), or that time in milliseconds"
        }
        guard Timestamp.looksLikeDate(value) else { return nil }
        return "is a number and looks like a date written without marks; write it as 2005-04-02 23:53:47"
    }

    /// The date with its hour that a number of ten digits stands for, formatted; nil when it is not one, or is seconds.
    private func dateWithHour(_ value: Int64) -> String? {
        guard value > latestSecond, (1_990_010_100...2_100_123_123).contains(value) else { return nil }
        let digits = String(value)
        func part(_ start: Int, _ count: Int) -> Substring { digits.dropFirst(start).prefix(count) }
        let date = "\(part(0, 4))-\(part(4, 2))-\(part(6, 2)) \(part(8, 2)):00:00"
        guard let time = Timestamp.milliseconds("\(date)Z".utf8), time / 1_000 <= latestSecond else { return nil }
        return date
    }

    /// RecBole writes all numbers with a decimal point; only for seconds does the fraction add digits that are kept.
    private mutating func milliseconds(withFraction bytes: [UInt8], _ field: Range<Int>) -> Int64? {
        guard let point = bytes[field].firstIndex(of: UInt8(ascii: ".")),
            let value = Int64(decimalDigits: bytes, field.lowerBound..<point),
            bytes[(point + 1)..<field.upperBound].allSatisfy({ $0 &- UInt8(ascii: "0") <= 9 }),
            let time = milliseconds(value)
        else { return nil }
        guard TimeUnit(ofNumber: value) == .seconds || value < Self.plausibleSeconds.lowerBound else { return time }
        var (fraction, scale): (Int64, Int64) = (0, 100)
        for index in (point + 1)..<field.upperBound where scale > 0 {
            fraction += Int64(bytes[index] - UInt8(ascii: "0")) * scale
            scale /= 10
        }
        return time + fraction
    }

    /// A date as written in tables: `2005-04-02`, optionally with a time of day and a zone; the default zone is UTC.
    static func date(_ text: some Collection<UInt8>) -> (milliseconds: Int64, hasZone: Bool)? {
        guard (10...40).contains(text.count) else { return nil }
        var bytes = Array(text)
        var hasZone = true
        if bytes.count == 10 {
            bytes += Array("T00:00Z".utf8)
            hasZone = false
        } else if bytes.count > 4, bytes.suffix(4).elementsEqual(" UTC".utf8) {
            bytes = bytes.dropLast(4) + [UInt8(ascii: "Z")]
        } else if !bytes[10...].contains(where: { "Zz+-".utf8.contains($0) }) {
            bytes.append(UInt8(ascii: "Z"))
            hasZone = false
        }
        guard let time = Timestamp.milliseconds(bytes), Limits.times.contains(time) else { return nil }
        return (time, hasZone)
    }
}
