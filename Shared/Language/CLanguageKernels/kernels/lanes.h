// Included by each variant's file, after it has defined LANES (floats of a register: 8 or 16) and has begun its target
// attribute. Loads need no alignment.

typedef float floats __attribute__((vector_size(LANES * 4)));
typedef int32_t ints __attribute__((vector_size(LANES * 4)));
typedef floats floats_at __attribute__((aligned(4), may_alias));
typedef ints ints_at __attribute__((aligned(4), may_alias));
typedef uint16_t shorts_at __attribute__((vector_size(LANES * 2), aligned(2), may_alias));
typedef int8_t chars_at __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef _Float16 halves_at __attribute__((vector_size(LANES * 2), aligned(2), may_alias));

// Registers of a panel or of a group of positions.
enum { panel_registers = 16 / LANES };

#define LOAD(p) (*(const floats_at *)(p))
#define STORE(p, x) (*(floats_at *)(p) = (x))
#define FMA(a, b, c) __builtin_elementwise_fma(a, b, c)
#define UNROLL _Pragma("clang loop unroll(full)")
// For the loop around a tile's products: unrolled, it would load ahead until the registers overflow.
#define KEEP_LOOP _Pragma("clang loop unroll(disable)")

// Taking zero off leaves every number as it is, minus zero too; the compiler sees that.
INLINE floats splat(float x) { return x - (floats){}; }

INLINE floats from_halves(const void *p) { return __builtin_convertvector(*(const halves_at *)p, floats); }

INLINE floats from_bf16s(const void *p) {
    return (floats)(__builtin_convertvector(*(const shorts_at *)p, ints) << 16);
}

INLINE floats from_int8s(const void *p) { return __builtin_convertvector(*(const chars_at *)p, floats); }

// Lanes of a where the mask's are all ones, of b where they are zero.
INLINE ints chosen(ints mask, ints a, ints b) { return (mask & a) | (~mask & b); }

// The second where either is NaN.
INLINE floats larger(floats a, floats b) { return (floats)chosen(a > b, (ints)a, (ints)b); }

// The lanes added up in pairs, always in the same order.
INLINE float sum_of(floats x) {
#if LANES == 16
    x += __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1);
    x += __builtin_shufflevector(x, x, 4, 5, 6, 7, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    x += __builtin_shufflevector(x, x, 2, 3, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
#else
    x += __builtin_shufflevector(x, x, 4, 5, 6, 7, -1, -1, -1, -1);
    x += __builtin_shufflevector(x, x, 2, 3, -1, -1, -1, -1, -1, -1);
#endif
    return x[0] + x[1];
}

INLINE float largest_of(floats x) {
#if LANES == 16
    x = larger(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
    x = larger(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7));
    x = larger(x, __builtin_shufflevector(x, x, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3));
#else
    x = larger(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 4, 5, 6, 7));
    x = larger(x, __builtin_shufflevector(x, x, 2, 3, 2, 3, 2, 3, 2, 3));
#endif
    return x[0] > x[1] ? x[0] : x[1];
}

// e^x within 2e-7 relative for -87 <= x <= 88; smaller x give 0, larger give e^88, NaN stays NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial for e^r (Cephes' expf); 2^n by the exponent's bits.
INLINE floats exponential(floats x) {
    floats y = larger(splat(-87.0f), x);
    y = (floats)chosen(y > splat(88.0f), (ints)splat(88.0f), (ints)y);
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const floats magic = splat(12582912.0f);
    floats shifted = FMA(y, splat(1.44269504088896341f), magic);
    floats n = shifted - magic;
    floats r = FMA(n, splat(-0.693359375f), y);
    r = FMA(n, splat(2.12194440e-4f), r);
    floats p = splat(1.9875691500e-4f);
    p = FMA(p, r, splat(1.3981999507e-3f));
    p = FMA(p, r, splat(8.3334519073e-3f));
    p = FMA(p, r, splat(4.1665795894e-2f));
    p = FMA(p, r, splat(1.6666665459e-1f));
    p = FMA(p, r, splat(5.0000001201e-1f));
    p = FMA(p, r * r, r + splat(1.0f));
    ints bits = (ints)p + ((ints)shifted << 23);
    bits = chosen(x == x, bits, (ints)x);
    return (floats)(bits & ~(x < splat(-87.0f)));
}
