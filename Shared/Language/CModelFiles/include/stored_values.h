#pragma once

// Values as model files store them, made Float32. Sources need no alignment and never overlap `out`; all are
// little-endian. A quantised type comes in whole blocks, whose layout is ggml's.

#include <stdint.h>

// Which values a kernel reads; the numbers are ggml's, as GGUF files have them.
enum ul_stored_type {
    UL_F32 = 0,
    UL_F16 = 1,
    UL_Q4_0 = 2,
    UL_Q4_1 = 3,
    UL_Q5_0 = 6,
    UL_Q5_1 = 7,
    UL_Q8_0 = 8,
    UL_Q4_K = 12,
    UL_Q5_K = 13,
    UL_Q6_K = 14,
    UL_BF16 = 30,
};

// Writes the values of n blocks as Float32; 0 for a type that is none of the above.
int ul_decode_blocks(float *out, const void *blocks, int64_t n, int32_t type);

// The first block whose value, or one of whose scales, is infinite or no number; -1 when there is none. Only from such a
// block can a value that is not finite come, for the products of finite scales fit a Float32.
int64_t ul_first_not_finite_block(const void *blocks, int64_t n, int32_t type);

// Rounds to bfloat16, to the nearest and to even between two; what is no number stays none.
void ul_encode_bfloat16(uint16_t *out, const float *x, int64_t n);
