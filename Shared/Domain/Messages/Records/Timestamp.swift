/// Times as people and programs write them: text as in ISO 8601 (RFC 3339), or a number since 1970.
///
/// Our own implementation, because an event's time is parsed for each event and Foundation's formatters take a hundred
/// times as long.
public enum Timestamp {
    /// Milliseconds since 1970; nil when the text is not `YYYY-MM-DD`, `T`, `hh:mm[:ss[.fraction]]` and a zone.
    ///
    /// A space may stand for `T`. A zone is `Z`, `±hh`, `±hhmm` or `±hh:mm`.
    public static func milliseconds(_ text: some Collection<UInt8>) -> Int64? {
        let bytes = Array(text)
        return milliseconds(bytes, 0..<bytes.count)
    }

    /// The same for a part of a larger buffer.
    public static func milliseconds(_ bytes: [UInt8], _ range: Range<Int>) -> Int64? {
        var scanner = Scanner(bytes: bytes, end: range.upperBound, position: range.lowerBound)
        guard let year = scanner.number(digits: 4), scanner.take("-"), let month = scanner.number(digits: 2),
            scanner.take("-"), let day = scanner.number(digits: 2), let days = days(year, month, day)
        else { return nil }
        guard scanner.take("T") || scanner.take("t") || scanner.take(" ") else { return nil }
        guard let hour = scanner.number(digits: 2), hour < 24, scanner.take(":"),
            let minute = scanner.number(digits: 2), minute < 60
        else { return nil }
        var second: Int64 = 0
        var fraction: Int64 = 0
        if scanner.take(":") {
            // 60 is a leap second; it counts as the first of the next minute, as POSIX has it.
            guard let value = scanner.number(digits: 2), value <= 60 else { return nil }
            second = value
            if scanner.take(".") || scanner.take(",") {
                guard let value = scanner.milliseconds() else { return nil }
                fraction = value
            }
        }
        guard let zone = scanner.zoneMinutes(), scanner.isAtEnd else { return nil }
        let minutes = (days * 24 + hour) * 60 + minute - zone
        return (minutes * 60 + second) * 1_000 + fraction
    }

    /// Days from 1970-01-01, in the Gregorian calendar; nil when there is no such day.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64? {
        let lengths = monthLengths(year)
        guard (1...12).contains(month), day >= 1, day <= lengths[Int(month) - 1] else { return nil }
        return days(before: year) + lengths[..<(Int(month) - 1)].reduce(0, +) + day - 1
    }

    static func monthLengths(_ year: Int64) -> [Int64] {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    }

    /// Days from 1970-01-01 to the first of a year.
    static func days(before year: Int64) -> Int64 {
        let past = year - 1
        return past * 365 + past / 4 - past / 100 + past / 400 - 719_162
    }
}

private struct Scanner {
    let bytes: [UInt8]
    let end: Int
    var position: Int

    var isAtEnd: Bool { position == end }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < end, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func digit() -> Int64? {
        guard position < end, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) else {
            return nil
        }
        position += 1
        return Int64(bytes[position - 1] - UInt8(ascii: "0"))
    }

    mutating func number(digits: Int) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// At least one digit of a fraction of a second; those past the third are dropped.
    mutating func milliseconds() -> Int64? {
        guard let first = digit() else { return nil }
        var value = first * 100
        var scale: Int64 = 10
        while let next = digit() {
            value += next * scale
            scale /= 10
        }
        return value
    }

    /// Minutes east of Greenwich: `Z`, `+hh`, `+hhmm` or `+hh:mm`.
    mutating func zoneMinutes() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let sign: Int64
        if take("+") { sign = 1 } else if take("-") { sign = -1 } else { return nil }
        guard let hours = number(digits: 2), hours < 24 else { return nil }
        if isAtEnd { return sign * hours * 60 }
        _ = take(":")
        guard let minutes = number(digits: 2), minutes < 60 else { return nil }
        return sign * (hours * 60 + minutes)
    }
}
