import CKernels
import Foundation

/// Rotary position embedding in Hugging Face's convention: value j of a head is rotated with value j + width / 2.
///
/// - Source: arXiv 2104.09864.
public final class RotaryTable {
    private let width: Int
    private let base: Float
    private var length = 0
    private var cosines = Tensor(shape: [0])
    private var sines = Tensor(shape: [0])

    /// Makes a table for heads of the given width; it grows with the positions requested.
    public init(width: Int, base: Float) {
        precondition(width % 2 == 0, "rotary positions need an even head width, got \(width)")
        self.width = width
        self.base = base
    }

    /// Writes or adds x, [rows, heads * width], rotated by each row's position, or rotated back.
    public func rotate(
        _ x: Tensor,
        positions: [Int32],
        backwards: Bool = false,
        into out: Tensor,
        accumulate: Bool = false
    ) {
        let greatest = Int(positions.max() ?? 0)
        precondition((positions.min() ?? 0) >= 0, "a position is negative: \(positions.min() ?? 0)")
        if greatest >= length { grow(to: max(greatest + 1, 2 * length)) }
        ul_rotary(
            out.base,
            x.base,
            cosines.base,
            sines.base,
            positions,
            Int64(positions.count),
            Int64(x.count / max(positions.count * width, 1)),
            Int64(width),
            backwards ? 1 : 0,
            accumulate ? 1 : 0
        )
    }

    /// Angles are computed in double and rounded once: at position 1,000 a Float32 angle is wrong in the fourth digit.
    private func grow(to length: Int) {
        let half = width / 2
        var (c, s) = ([Float](), [Float]())
        let speeds = (0..<half).map { pow(Double(base), -2 * Double($0) / Double(width)) }
        for position in 0..<length {
            for speed in speeds {
                c.append(Float(cos(Double(position) * speed)))
                s.append(Float(sin(Double(position) * speed)))
            }
        }
        cosines = Tensor(c, shape: [length, half])
        sines = Tensor(s, shape: [length, half])
        self.length = length
    }
}
