#include "stored_values.h"

#include <stddef.h>
#include <string.h>

#include "kernel_clones.h"

// Each product and each sum is rounded by itself, as ggml's own reader in Python does it.
#pragma STDC FP_CONTRACT OFF

// Block layouts are those of ggml-org/ggml, `src/ggml-common.h`; a scale is an IEEE half.
enum { HALF = 2, SMALL = 32, LARGE = 256 };

INLINE uint16_t half_bits(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

// IEEE half precision to single. The exponent's bias is changed by an exact multiplication, which also turns subnormal
// halves into normal floats; infinities and NaN keep all exponent bits set.
INLINE float from_half(uint16_t h) {
    uint32_t bits = (uint32_t)(h & 0x7FFFu) << 13;
    float value;
    memcpy(&value, &bits, 4);
    value *= 0x1p112f;
    memcpy(&bits, &value, 4);
    bits = (h & 0x7C00u) == 0x7C00u ? ((uint32_t)(h & 0x7FFFu) << 13 | 0x7F800000u) : bits;
    bits |= (uint32_t)(h & 0x8000u) << 16;
    memcpy(&value, &bits, 4);
    return value;
}

INLINE float half_at(const uint8_t *p) { return from_half(half_bits(p)); }

INLINE uint32_t word_at(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

// MARK: Values by themselves

KERNEL static void decode_f16(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = half_at(p + 2 * i);
}

KERNEL static void decode_bf16(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)half_bits(p + 2 * i) << 16;
        memcpy(out + i, &bits, 4);
    }
}

// MARK: Blocks of 32

KERNEL static void decode_q8_0(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (; n > 0; n--, p += HALF + SMALL, out += SMALL) {
        float d = half_at(p);
        const int8_t *q = (const int8_t *)(p + HALF);
        for (int i = 0; i < SMALL; i++) out[i] = d * (float)q[i];
    }
}

// Values 0-15 are the lower halves of 16 bytes, 16-31 the upper ones.
KERNEL static void decode_q4_0(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (; n > 0; n--, p += HALF + SMALL / 2, out += SMALL) {
        float d = half_at(p);
        const uint8_t *q = p + HALF;
        for (int i = 0; i < SMALL / 2; i++) {
            out[i] = d * (float)((int)(q[i] & 15) - 8);
            out[i + SMALL / 2] = d * (float)((int)(q[i] >> 4) - 8);
        }
    }
}

KERNEL static void decode_q4_1(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (; n > 0; n--, p += 2 * HALF + SMALL / 2, out += SMALL) {
        float d = half_at(p), m = half_at(p + HALF);
        const uint8_t *q = p + 2 * HALF;
        for (int i = 0; i < SMALL / 2; i++) {
            out[i] = d * (float)(q[i] & 15) + m;
            out[i + SMALL / 2] = d * (float)(q[i] >> 4) + m;
        }
    }
}

// The fifth bit of value i is bit i of a word of 32.
KERNEL static void decode_q5_0(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (; n > 0; n--, p += HALF + 4 + SMALL / 2, out += SMALL) {
        float d = half_at(p);
        uint32_t high = word_at(p + HALF);
        const uint8_t *q = p + HALF + 4;
        for (int i = 0; i < SMALL / 2; i++) {
            out[i] = d * (float)((int)((q[i] & 15u) | (high >> i & 1u) << 4) - 16);
            out[i + SMALL / 2] = d * (float)((int)(q[i] >> 4 | (high >> (i + SMALL / 2) & 1u) << 4) - 16);
        }
    }
}

KERNEL static void decode_q5_1(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (; n > 0; n--, p += 2 * HALF + 4 + SMALL / 2, out += SMALL) {
        float d = half_at(p), m = half_at(p + HALF);
        uint32_t high = word_at(p + 2 * HALF);
        const uint8_t *q = p + 2 * HALF + 4;
        for (int i = 0; i < SMALL / 2; i++) {
            out[i] = d * (float)((q[i] & 15u) | (high >> i & 1u) << 4) + m;
            out[i + SMALL / 2] = d * (float)(q[i] >> 4 | (high >> (i + SMALL / 2) & 1u) << 4) + m;
        }
    }
}

// MARK: Blocks of 256

// Eight scales and eight minima of 6 bits in 12 bytes: bytes 0-3 and 4-7 hold the first four of each, whose upper two
// bits are the upper ones of the last four; bytes 8-11 hold the lower four bits of those.
INLINE void unpack_scales(uint8_t scale[8], uint8_t minimum[8], const uint8_t *p) {
    for (int i = 0; i < 4; i++) {
        scale[i] = p[i] & 63;
        minimum[i] = p[i + 4] & 63;
        scale[i + 4] = (uint8_t)((p[i + 8] & 15) | (p[i] >> 2 & 0x30));
        minimum[i + 4] = (uint8_t)(p[i + 8] >> 4 | (p[i + 4] >> 2 & 0x30));
    }
}

// Sub-blocks of 32 come in pairs, which share 32 bytes: the first has their lower halves, the second the upper ones.
KERNEL static void decode_q4_k(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (; n > 0; n--, p += 2 * HALF + 12 + LARGE / 2, out += LARGE) {
        float d = half_at(p), m = half_at(p + HALF);
        uint8_t scale[8], minimum[8];
        unpack_scales(scale, minimum, p + 2 * HALF);
        for (int j = 0; j < 8; j++) {
            const uint8_t *q = p + 2 * HALF + 12 + j / 2 * 32;
            float factor = d * (float)scale[j], offset = m * (float)minimum[j];
            int shift = j % 2 * 4;
            for (int i = 0; i < 32; i++) out[32 * j + i] = factor * (float)(q[i] >> shift & 15) - offset;
        }
    }
}

// As Q4_K; the fifth bit of value i of sub-block j is bit j of byte i of 32.
KERNEL static void decode_q5_k(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (; n > 0; n--, p += 2 * HALF + 12 + LARGE / 8 + LARGE / 2, out += LARGE) {
        float d = half_at(p), m = half_at(p + HALF);
        uint8_t scale[8], minimum[8];
        unpack_scales(scale, minimum, p + 2 * HALF);
        const uint8_t *high = p + 2 * HALF + 12;
        for (int j = 0; j < 8; j++) {
            const uint8_t *q = high + LARGE / 8 + j / 2 * 32;
            float factor = d * (float)scale[j], offset = m * (float)minimum[j];
            int shift = j % 2 * 4;
            for (int i = 0; i < 32; i++) {
                int value = (q[i] >> shift & 15) | (high[i] >> j & 1) << 4;
                out[32 * j + i] = factor * (float)value - offset;
            }
        }
    }
}

// Two halves of 128 values: 64 bytes of lower four bits, where values 0-63 have the lower halves, and 32 bytes of upper
// two bits. Sixteen scales of 8 bits, one for each 16 values, and then the scale of all.
KERNEL static void decode_q6_k(float *restrict out, const uint8_t *restrict p, int64_t n) {
    for (; n > 0; n--, p += LARGE / 2 + LARGE / 4 + LARGE / 16 + HALF, out += LARGE) {
        const int8_t *scale = (const int8_t *)(p + LARGE / 2 + LARGE / 4);
        float d = half_at(p + LARGE / 2 + LARGE / 4 + LARGE / 16);
        for (int j = 0; j < 8; j++) {
            const uint8_t *low = p + j / 4 * 64 + j % 2 * 32;
            const uint8_t *high = p + LARGE / 2 + j / 4 * 32;
            int shift = j % 4 / 2 * 4, high_shift = j % 4 * 2;
            float first = d * (float)scale[2 * j], second = d * (float)scale[2 * j + 1];
            for (int i = 0; i < 32; i++) {
                int value = ((low[i] >> shift & 15) | (high[i] >> high_shift & 3) << 4) - 32;
                out[32 * j + i] = (i < 16 ? first : second) * (float)value;
            }
        }
    }
}

int ul_decode_blocks(float *out, const void *blocks, int64_t n, int32_t type) {
    switch (type) {
    case UL_F32: if (n > 0) memcpy(out, blocks, (size_t)n * sizeof(float)); return 1;
    case UL_F16: decode_f16(out, blocks, n); return 1;
    case UL_BF16: decode_bf16(out, blocks, n); return 1;
    case UL_Q8_0: decode_q8_0(out, blocks, n); return 1;
    case UL_Q4_0: decode_q4_0(out, blocks, n); return 1;
    case UL_Q4_1: decode_q4_1(out, blocks, n); return 1;
    case UL_Q5_0: decode_q5_0(out, blocks, n); return 1;
    case UL_Q5_1: decode_q5_1(out, blocks, n); return 1;
    case UL_Q4_K: decode_q4_k(out, blocks, n); return 1;
    case UL_Q5_K: decode_q5_k(out, blocks, n); return 1;
    case UL_Q6_K: decode_q6_k(out, blocks, n); return 1;
    default: return 0;
    }
}

// MARK: Finite values

// Whether all bits of the exponent are set in a 16-bit value at `offset` of a block.
INLINE int64_t first_marked(const uint8_t *p, int64_t n, int64_t size, int64_t offset, uint16_t exponent) {
    for (int64_t i = 0; i < n; i++) {
        if ((half_bits(p + i * size + offset) & exponent) == exponent) return i;
    }
    return -1;
}

INLINE int64_t earlier(int64_t a, int64_t b) { return a < 0 ? b : b < 0 ? a : a < b ? a : b; }

int64_t ul_first_not_finite_block(const void *blocks, int64_t n, int32_t type) {
    const uint8_t *p = blocks;
    const uint16_t half = 0x7C00, brain = 0x7F80;
    switch (type) {
    case UL_F32: return first_marked(p, n, 4, 2, brain);  // the upper half of a float has its exponent
    case UL_F16: return first_marked(p, n, 2, 0, half);
    case UL_BF16: return first_marked(p, n, 2, 0, brain);
    case UL_Q8_0: return first_marked(p, n, HALF + SMALL, 0, half);
    case UL_Q4_0: return first_marked(p, n, HALF + SMALL / 2, 0, half);
    case UL_Q4_1: {
        int64_t size = 2 * HALF + SMALL / 2;
        return earlier(first_marked(p, n, size, 0, half), first_marked(p, n, size, HALF, half));
    }
    case UL_Q5_0: return first_marked(p, n, HALF + 4 + SMALL / 2, 0, half);
    case UL_Q5_1: {
        int64_t size = 2 * HALF + 4 + SMALL / 2;
        return earlier(first_marked(p, n, size, 0, half), first_marked(p, n, size, HALF, half));
    }
    case UL_Q4_K: {
        int64_t size = 2 * HALF + 12 + LARGE / 2;
        return earlier(first_marked(p, n, size, 0, half), first_marked(p, n, size, HALF, half));
    }
    case UL_Q5_K: {
        int64_t size = 2 * HALF + 12 + LARGE / 8 + LARGE / 2;
        return earlier(first_marked(p, n, size, 0, half), first_marked(p, n, size, HALF, half));
    }
    case UL_Q6_K: {
        int64_t offset = LARGE / 2 + LARGE / 4 + LARGE / 16;
        return first_marked(p, n, offset + HALF, offset, half);
    }
    default: return -1;
    }
}

KERNEL void ul_encode_bfloat16(uint16_t *restrict out, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
        // Rounding could turn what is no number into infinity: keep its upper half, quiet.
        out[i] = (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? (bits >> 16 | 0x40u) : rounded);
    }
}
