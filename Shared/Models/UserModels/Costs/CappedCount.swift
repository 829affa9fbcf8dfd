/// Arithmetic of counts that are at least 0; what exceeds the greatest integer is the greatest integer.
///
/// Lengths of texts and timelines come from outside, and grow with the square of them in attention.
enum CappedCount {
    /// The product of all factors.
    static func product(_ factors: Int...) -> Int {
        if factors.contains(0) { return 0 }
        return factors.reduce(1) { product, factor in
            let (value, overflows) = product.multipliedReportingOverflow(by: factor)
            return overflows ? .max : value
        }
    }

    /// The sum of all terms.
    static func sum(_ terms: Int...) -> Int {
        terms.reduce(0) { sum, term in
            let (value, overflows) = sum.addingReportingOverflow(term)
            return overflows ? .max : value
        }
    }
}
