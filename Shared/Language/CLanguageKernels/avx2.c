// The variant for AVX2 with FMA and half-precision conversions: registers of 8 floats, a panel in two of them.
#if defined(__x86_64__)
#include "internal.h"

#include <immintrin.h>

#define LANES 8
enum { tile_panels = 1, tile_registers = 2, float_rows = 6, integer_rows = 4, tile_rows = 6 };
enum { score_rows = 6, score_groups = 1 };
#define STARTS_SHIFTED(zero) ((zero) == 8)

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "kernels/lanes.h"

// The instruction multiplies unsigned by signed bytes and adds pairs up in 16 bits, without overflow only where one
// side stays below 129. So bytes that are 128 too large are made signed again, and give their signs to the
// activations, which are within +-127. The others are below 32.
INLINE ints dot4(ints sum, ints stored, ints x, const int zero) {
    __m256i weights = (__m256i)stored, values = (__m256i)x;
    if (zero == 128) {
        weights = _mm256_xor_si256(weights, _mm256_set1_epi8((char)0x80));
        values = _mm256_sign_epi8(values, weights);
        weights = _mm256_abs_epi8(weights);
    }
    __m256i pairs = _mm256_maddubs_epi16(weights, values);
    return sum + (ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

#include "kernels/inputs.h"
#include "kernels/products.h"
#include "kernels/rows.h"
#include "kernels/attention.h"

#pragma clang attribute pop

static int runs(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

const lk_variant lk_avx2 = LK_VARIANT("avx2", runs, 0, prepare, multiply);
#endif
