// The variant for processors with AVX-VNNI but without AVX-512: registers of 8 floats, a panel in two of them;
// int8 products by AVX-VNNI. Without it, see avx2.c.
#if defined(__x86_64__)
#include "internal.h"

#include <immintrin.h>

#define LANES 8
enum { tile_panels = 1, tile_registers = 2, float_rows = 6, integer_rows = 6, tile_rows = 6 };
enum { score_rows = 6, score_groups = 1 };
#define STARTS_SHIFTED(zero) ((zero) != 0)

#pragma clang attribute push(__attribute__((target("avx2,avxvnni,fma,f16c"))), apply_to = function)

#include "kernels/lanes.h"

// Stored bytes are unsigned, activations signed.
INLINE ints dot4(ints sum, ints stored, ints x, const int zero) {
    (void)zero;
    return (ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)stored, (__m256i)x);
}

#include "kernels/inputs.h"
#include "kernels/products.h"
#include "kernels/rows.h"
#include "kernels/attention.h"

#pragma clang attribute pop

static int runs(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
           __builtin_cpu_supports("avxvnni");
}

const lk_variant lk_avxvnni = LK_VARIANT("avxvnni", runs, 0, prepare, multiply);
#endif
