#include "kernels.h"
#include "vector_math.h"

// Products of matrices in bfloat16 with sums in Float32: C = factor * A B (+ C) (+ bias).
//
// Both sides are rounded while they are laid out for the multiplication, so that the sources stay Float32. One
// instruction (VDPBF16PS) multiplies two neighbours along k and adds both products to a Float32 lane:
//
//   A  a pair of one row at k, k + 1, broadcast to all lanes. Kept with k contiguous, or, where the source is read
//      transposed, as pairs side by side along m; the kernel takes the two strides.
//   B  panels of 64 columns: for each pair along k, 64 columns of two neighbours.
//   C  tiles of 6 rows and up to 64 columns, in 24 registers.

// Where the processor lacks the instruction, plain loops give the same rounding: right, and slow.

// To the nearest bfloat16, ties to even.
INLINE uint16_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

INLINE float widened(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// Rounds B and lays it out as [n, k].
void ul_bfloat16_pack_plainly(uint16_t *out, const float *source, int64_t stride, int transposed, int64_t n,
                              int64_t k) {
    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = 0; i < k; i++) {
            out[j * k + i] = rounded(transposed ? source[j * stride + i] : source[i * stride + j]);
        }
    }
}

void ul_bfloat16_product_plainly(float *c, int64_t c_stride, const float *a, int64_t a_stride, int a_transposed,
                                 const uint16_t *b, int64_t b_depth, int64_t m, int64_t n, int64_t k, float factor,
                                 int accumulate, const float *bias) {
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            float sum = 0;
            for (int64_t q = 0; q < k; q++) {
                sum += widened(rounded(a_transposed ? a[q * a_stride + i] : a[i * a_stride + q])) *
                       widened(b[j * b_depth + q]);
            }
            float *target = c + i * c_stride + j;
            *target = sum * factor + (accumulate ? *target : 0) + (bias ? bias[j] : 0);
        }
    }
}

enum { tile_rows = 6, tile_columns = 64, block_rows = 96, block_depth = 256 };

// Elements of the buffer that ul_bfloat16_pack fills for B of k x n.
int64_t ul_bfloat16_packed_count(int64_t n, int64_t k) { return (n + 15) / 16 * 16 * ((k + 1) / 2 * 2); }

// Elements of the buffer in which the product lays out a block of A.
int64_t ul_bfloat16_scratch_count(void) { return (int64_t)block_rows * block_depth; }

#if defined(__x86_64__)
#include <immintrin.h>

#define BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")))
#define BF16_INLINE BF16 __attribute__((always_inline)) static inline

// Two rows of 16 values as 16 pairs.
BF16_INLINE __m512i interleaved(__m512 first, __m512 second) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}

// Transposes 16 rows of 16 pairs.
BF16_INLINE void transpose(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xDD);
    }
}

BF16_INLINE __mmask16 first(int64_t n) { return n >= 16 ? 0xFFFF : (n <= 0 ? 0 : (__mmask16)((1u << n) - 1)); }

// One panel of up to 64 columns of B, whose value at (k, n) is at source[k * stride + n].
BF16_INLINE void pack_panel(uint16_t *out, const float *source, int64_t stride, int64_t columns, int64_t depth) {
    int64_t vectors = (columns + 15) / 16;
    for (int64_t k = 0; k < depth; k += 2) {
        const float *a = source + k * stride;
        for (int64_t v = 0; v < vectors; v++) {
            __mmask16 mask = first(columns - 16 * v);
            __m512 x = _mm512_maskz_loadu_ps(mask, a + 16 * v);
            __m512 y = k + 1 < depth ? _mm512_maskz_loadu_ps(mask, a + stride + 16 * v) : _mm512_setzero_ps();
            _mm512_storeu_si512(out, interleaved(x, y));
            out += 32;
        }
    }
}

// The same where the value at (k, n) is at source[n * stride + k].
BF16_INLINE void pack_panel_transposed(uint16_t *out, const float *source, int64_t stride, int64_t columns,
                                       int64_t depth) {
    int64_t vectors = (columns + 15) / 16, pairs = (depth + 1) / 2;
    for (int64_t k = 0; k < depth; k += 32) {
        __mmask16 low = first(depth - k), high = first(depth - k - 16);
        int64_t count = pairs - k / 2 < 16 ? pairs - k / 2 : 16;
        for (int64_t v = 0; v < vectors; v++) {
            __m512i r[16];
            for (int i = 0; i < 16; i++) {
                const float *row = source + (16 * v + i) * stride + k;
                int exists = 16 * v + i < columns;
                __m512 x = _mm512_maskz_loadu_ps(exists ? low : 0, row);
                __m512 y = _mm512_maskz_loadu_ps(exists ? high : 0, row + 16);
                r[i] = (__m512i)_mm512_cvtne2ps_pbh(y, x);
            }
            transpose(r);
            uint16_t *target = out + (k / 2 * vectors + v) * 32;
            for (int i = 0; i < 16; i++) {
                if (i < count) _mm512_storeu_si512(target + i * vectors * 32, r[i]);
            }
        }
    }
}

BF16 static void pack_wide(uint16_t *out, const float *source, int64_t stride, int transposed, int64_t n, int64_t k) {
    for (int64_t column = 0; column < n; column += tile_columns) {
        int64_t columns = n - column < tile_columns ? n - column : tile_columns;
        uint16_t *panel = out + column * ((k + 1) / 2 * 2);
        if (transposed) {
            pack_panel_transposed(panel, source + column * stride, stride, columns, k);
        } else {
            pack_panel(panel, source + column, stride, columns, k);
        }
    }
}

// A block of A with k contiguous: [rows, depth], the depth rounded up to an even number.
BF16_INLINE void pack_rows(uint16_t *out, const float *source, int64_t stride, int64_t rows, int64_t depth) {
    int64_t width = (depth + 1) / 2 * 2;
    for (int64_t r = 0; r < rows; r++) {
        const float *row = source + r * stride;
        uint16_t *target = out + r * width;
        int64_t k = 0;
        for (; k + 32 <= depth; k += 32) {
            __m512bh x = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + k + 16), _mm512_loadu_ps(row + k));
            _mm512_storeu_si512(target + k, (__m512i)x);
        }
        for (; k < depth; k += 16) {
            __m256bh x = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(first(depth - k), row + k));
            _mm256_mask_storeu_epi16(target + k, first(width - k), (__m256i)x);
        }
    }
}

// A tile of C: 6 rows and 16 * vectors columns.
BF16_INLINE void tile(float *c, int64_t stride, const uint16_t *a, int64_t row_step, int64_t pair_step,
                      const uint16_t *b, int64_t b_step, int64_t pairs, const int vectors, int64_t rows,
                      __mmask16 last, float factor, int accumulate, const float *bias) {
    __m512 sum[tile_rows][4];
#pragma clang loop unroll(full)
    for (int r = 0; r < tile_rows; r++) {
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_setzero_ps();
    }
    for (int64_t k = 0; k < pairs; k++) {
        __m512bh column[4];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) column[v] = (__m512bh)_mm512_loadu_si512(b + 32 * v);
#pragma clang loop unroll(full)
        for (int r = 0; r < tile_rows; r++) {
            int32_t pair;
            memcpy(&pair, a + r * row_step, 4);
            __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
#pragma clang loop unroll(full)
            for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], x, column[v]);
        }
        a += pair_step;
        b += b_step;
    }
    __m512 scale = _mm512_set1_ps(factor);
#pragma clang loop unroll(full)
    for (int r = 0; r < tile_rows; r++) {
        if (r >= rows) break;
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            __mmask16 mask = v + 1 == vectors ? last : 0xFFFF;
            float *target = c + r * stride + 16 * v;
            __m512 y = _mm512_mul_ps(sum[r][v], scale);
            if (accumulate) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, target));
            if (bias) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, bias + 16 * v));
            _mm512_mask_storeu_ps(target, mask, y);
        }
    }
}

// A block of C: `rows` by `n`, over `pairs` of B's `total` pairs from `start` on.
BF16_INLINE void block(float *c, int64_t stride, const uint16_t *a, int64_t row_step, int64_t pair_step,
                       const uint16_t *b, int64_t start, int64_t total, int64_t pairs, int64_t rows, int64_t n,
                       float factor, int accumulate, const float *bias) {
    for (int64_t column = 0; column < n; column += tile_columns) {
        int64_t columns = n - column < tile_columns ? n - column : tile_columns;
        int64_t vectors = (columns + 15) / 16;
        __mmask16 last = first(columns - 16 * (vectors - 1));
        const uint16_t *panel = b + column * total * 2 + start * vectors * 32;
        const float *panel_bias = bias ? bias + column : 0;
        for (int64_t row = 0; row < rows; row += tile_rows) {
            float *target = c + row * stride + column;
            const uint16_t *side = a + row * row_step;
            int64_t left = rows - row;
#define TILE(V)                                                                                                     \
    tile(target, stride, side, row_step, pair_step, panel, 32 * V, pairs, V, left, last, factor, accumulate, panel_bias)
            switch (vectors) {
            case 4: TILE(4); break;
            case 3: TILE(3); break;
            case 2: TILE(2); break;
            default: TILE(1); break;
            }
#undef TILE
        }
    }
}

BF16 static void multiply_wide(float *c, int64_t c_stride, const float *a, int64_t a_stride, int a_transposed,
                               const uint16_t *b, int64_t b_depth, uint16_t *scratch, int64_t m, int64_t n, int64_t k,
                               float factor, int accumulate, const float *bias) {
    int64_t total = (b_depth + 1) / 2;
    for (int64_t depth = 0; depth < k; depth += block_depth) {
        int64_t d = k - depth < block_depth ? k - depth : block_depth;
        int64_t pairs = (d + 1) / 2;
        int adds = accumulate || depth > 0;
        const float *own_bias = depth > 0 ? 0 : bias;
        for (int64_t row = 0; row < m; row += block_rows) {
            int64_t rows = m - row < block_rows ? m - row : block_rows;
            int64_t row_step = 2 * pairs, pair_step = 2;
            if (a_transposed) {
                // Pairs of all rows of the block side by side, whole vectors of them.
                row_step = 2;
                pair_step = (rows + 15) / 16 * 32;
                pack_panel(scratch, a + depth * a_stride + row, a_stride, rows, d);
            } else {
                pack_rows(scratch, a + row * a_stride + depth, a_stride, rows, d);
            }
            block(c + row * c_stride, c_stride, scratch, row_step, pair_step, b, depth / 2, total, pairs, rows, n,
                  factor, adds, own_bias);
        }
    }
}
#endif

// Rounds B, k x n, and lays it out; its value at (k, n) is at source[k * stride + n], or transposed.
void ul_bfloat16_pack(uint16_t *out, const float *source, int64_t stride, int transposed, int64_t n, int64_t k) {
#if defined(__x86_64__)
    if (ul_cpu_level() >= 3) {
        pack_wide(out, source, stride, transposed, n, k);
        return;
    }
#endif
    ul_bfloat16_pack_plainly(out, source, stride, transposed, n, k);
}

// C, m x n, = factor * A B (+ C) (+ bias in each row), for A of m x k as read and B of at least n columns (a multiple of
// 64 when it has more) and at least k deep, which was packed with depth `b_depth`.
void ul_bfloat16_product(float *c, int64_t c_stride, const float *a, int64_t a_stride, int a_transposed,
                         const uint16_t *b, int64_t b_depth, uint16_t *scratch, int64_t m, int64_t n, int64_t k,
                         float factor, int accumulate, const float *bias) {
#if defined(__x86_64__)
    if (ul_cpu_level() >= 3) {
        multiply_wide(c, c_stride, a, a_stride, a_transposed, b, b_depth, scratch, m, n, k, factor, accumulate, bias);
        return;
    }
#endif
    ul_bfloat16_product_plainly(c, c_stride, a, a_stride, a_transposed, b, b_depth, m, n, k, factor, accumulate, bias);
}
