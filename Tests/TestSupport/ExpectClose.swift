public import Testing

/// Expects values near those of a reference: each within `tolerance` times the greater of 1 and the expected value.
public func expectClose(
    _ found: [Float],
    _ expected: [Double],
    tolerance: Double,
    _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found.count == expected.count, sourceLocation: sourceLocation)
    let worst = zip(found, expected).map { abs(Double($0) - $1) / max(1, abs($1)) }.max { !($0 >= $1) } ?? 0
    #expect(worst <= tolerance, "\(what): worst difference \(worst)", sourceLocation: sourceLocation)
}
