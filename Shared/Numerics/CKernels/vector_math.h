#pragma once

// What the kernels share: one clone per instruction set, and functions that vectorise.

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernel_clones.h"

// Sixteen floats: one AVX-512 register, two of AVX2, four of SSE. Loads need no alignment.
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));

// A macro: a function that returns such a value would have another calling convention per instruction set.
#define LOAD_LANES(p) (*(const lanes *)(p))

// The largest of n values; the compiler does not vectorise this for floats by itself, because of NaN.
INLINE float maximum_of(const float *x, int64_t n) {
    float best = -INFINITY;
    int64_t i = 0;
    if (n >= 16) {
        lanes m = LOAD_LANES(x);
        for (i = 16; i + 16 <= n; i += 16) m = __builtin_elementwise_max(m, LOAD_LANES(x + i));
        for (int j = 0; j < 16; j++) best = m[j] > best ? m[j] : best;
    }
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

// e^x within 2e-7 relative for -87 < x < 88; smaller x give 1e-38, larger give e^88.
// x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial for e^r; 2^n by the exponent bits.
INLINE float fast_exp(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    // Adding 1.5 * 2^23 rounds to the nearest integer in every instruction set, and leaves it in the low bits.
    const float magic = 12582912.0f;
    float shifted = x * 1.44269504088896341f + magic;
    float n = shifted - magic;
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    int32_t bits;
    memcpy(&bits, &p, 4);
    int32_t exponent;
    memcpy(&exponent, &shifted, 4);
    // The low bits of the shifted value hold n (the magic number's own low bits are zero).
    bits += (int32_t)((uint32_t)exponent << 23);
    memcpy(&p, &bits, 4);
    return p;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

// A well-mixed 32-bit number for each counter: the dropout mask is recomputed in the backward pass, never stored.
INLINE uint32_t counter_random(uint32_t counter, uint32_t key, uint32_t second_key) {
    uint32_t x = counter * 0x9E3779B9u + key;
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= second_key;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    x ^= x >> 16;
    return x;
}
