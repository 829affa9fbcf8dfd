/// Ratings, one byte each as long as there are at most 255 distinct values, as on any scale of stars.
struct RatingColumn: Sendable {
    /// The rating of each code; code 0 is none.
    private var values: [Float] = [.nan]
    private var codes: [UInt8] = []
    /// Used instead of codes when there are more distinct ratings than codes.
    private var wide: [Float]?

    /// An empty column.
    init() {}

    /// A column without ratings.
    init(count: Int) { codes = [UInt8](repeating: 0, count: count) }

    var count: Int { wide?.count ?? codes.count }

    mutating func reserveCapacity(_ count: Int) { codes.reserveCapacity(count) }

    /// The rating of an event; NaN when there is none.
    subscript(index: Int) -> Float {
        get { wide?[index] ?? values[Int(codes[index])] }
        set {
            if wide == nil, let code = code(of: newValue) {
                codes[index] = code
            } else {
                widen()
                wide?[index] = newValue
            }
        }
    }

    mutating func append(_ rating: Float) {
        if wide == nil, let code = code(of: rating) {
            codes.append(code)
        } else {
            widen()
            wide?.append(rating)
        }
    }

    private mutating func code(of rating: Float) -> UInt8? {
        guard !rating.isNaN else { return 0 }
        // For so few values, a loop is faster than a table.
        for index in 1..<max(values.count, 1) where values[index] == rating { return UInt8(index) }
        guard values.count < 256 else { return nil }
        values.append(rating)
        return UInt8(values.count - 1)
    }

    private mutating func widen() {
        guard wide == nil else { return }
        wide = codes.map { values[Int($0)] }
        codes = []
    }
}

/// Times, four bytes each as long as all are whole seconds, as in most data sets.
struct TimeColumn: Sendable {
    private var seconds: [UInt32] = []
    /// Used instead of seconds when there are times that seconds cannot represent.
    private var milliseconds: [Int64]?

    /// An empty column.
    init() {}

    /// A column of times to be filled in; `isWide` when they are not whole seconds.
    init(count: Int, isWide: Bool) {
        if isWide {
            milliseconds = [Int64](repeating: 0, count: count)
        } else {
            seconds = [UInt32](repeating: 0, count: count)
        }
    }

    var count: Int { milliseconds?.count ?? seconds.count }
    var isWide: Bool { milliseconds != nil }

    mutating func reserveCapacity(_ count: Int) { seconds.reserveCapacity(count) }

    /// The time of an event in milliseconds since 1970.
    subscript(index: Int) -> Int64 {
        get { milliseconds?[index] ?? Int64(seconds[index]) * 1_000 }
        set {
            if milliseconds == nil, let value = Self.seconds(newValue) {
                seconds[index] = value
            } else {
                widen()
                milliseconds?[index] = newValue
            }
        }
    }

    mutating func append(_ time: Int64) {
        if milliseconds == nil, let value = Self.seconds(time) {
            seconds.append(value)
        } else {
            widen()
            milliseconds?.append(time)
        }
    }

    private static func seconds(_ time: Int64) -> UInt32? {
        let (value, rest) = time.quotientAndRemainder(dividingBy: 1_000)
        return rest == 0 ? UInt32(exactly: value) : nil
    }

    private mutating func widen() {
        guard milliseconds == nil else { return }
        milliseconds = seconds.map { Int64($0) * 1_000 }
        seconds = []
    }
}
