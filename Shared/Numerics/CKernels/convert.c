#include "kernels.h"
#include "vector_math.h"

// A bfloat16 is the upper half of a float.
KERNEL void ul_from_bfloat16(float *restrict out, const uint16_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(out + i, &bits, 4);
    }
}

// IEEE half precision. Normal numbers get the exponent's bias changed by an exact multiplication, which also turns
// subnormal halves into normal floats; infinities and NaN keep all exponent bits set.
KERNEL void ul_from_float16(float *restrict out, const uint16_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t h = x[i];
        uint32_t bits = (h & 0x7FFFu) << 13;
        float value;
        memcpy(&value, &bits, 4);
        value *= 0x1p112f;
        memcpy(&bits, &value, 4);
        bits = (h & 0x7C00u) == 0x7C00u ? (((h & 0x7FFFu) << 13) | 0x7F800000u) : bits;
        bits |= (h & 0x8000u) << 16;
        memcpy(out + i, &bits, 4);
    }
}
