// The variants for AVX-512 with VNNI: registers of 16 floats, products of int8 four at a time. In "avx512bf16" products
// with bfloat16 weights take two neighbours at a time, from activations in bfloat16.
#if defined(__x86_64__)
#include "internal.h"

#include <immintrin.h>

#define LANES 16
enum { tile_panels = 4, tile_registers = 4, float_rows = 6, integer_rows = 6, tile_rows = 6 };
enum { score_rows = 6, score_groups = 4 };
#define STARTS_SHIFTED(zero) ((zero) != 0)

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)

#include "kernels/lanes.h"

// Stored bytes are unsigned, activations signed.
INLINE ints dot4(ints sum, ints stored, ints x, const int zero) {
    (void)zero;
    return (ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)stored, (__m512i)x);
}

#include "kernels/inputs.h"
#include "kernels/products.h"
#include "kernels/rows.h"
#include "kernels/attention.h"

#pragma clang attribute pop
#pragma clang attribute push(                                                                                       \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c"))),               \
    apply_to = function)

INLINE floats dot2(floats sum, ints weights, ints x) {
    return (floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)weights, (__m512bh)x);
}

#include "kernels/bf16_inputs.h"

#pragma clang attribute pop

static int runs(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

static int runs_bf16(void) { return runs() && __builtin_cpu_supports("avx512bf16"); }

const lk_variant lk_avx512 = LK_VARIANT("avx512", runs, 0, prepare, multiply);
const lk_variant lk_avx512bf16 = LK_VARIANT("avx512bf16", runs_bf16, 1, prepare_bf16, multiply_bf16);
#endif
