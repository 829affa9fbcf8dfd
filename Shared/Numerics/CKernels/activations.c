#include "kernels.h"
#include "vector_math.h"

KERNEL void ul_exp(float *restrict out, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = fast_exp(x[i]);
}

// GELU in its tanh form (arXiv 1606.08415), written with the sigmoid: x * sigmoid(2 u),
// u = sqrt(2 / pi) (x + 0.044715 x^3).
static const float two_root = 1.5957691216057308f;
static const float cubic = 0.044715f;

KERNEL void ul_gelu(float *restrict out, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float v = x[i];
        out[i] = v * sigmoid(two_root * (v + cubic * v * v * v));
    }
}

INLINE float gelu_slope(float v) {
    float s = sigmoid(two_root * (v + cubic * v * v * v));
    return s + v * s * (1.0f - s) * two_root * (1.0f + 3.0f * cubic * v * v);
}

KERNEL void ul_gelu_backward(float *restrict out, const float *restrict x, const float *restrict gradient, int64_t n,
                             int accumulate) {
    if (accumulate) {
        for (int64_t i = 0; i < n; i++) out[i] += gradient[i] * gelu_slope(x[i]);
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = gradient[i] * gelu_slope(x[i]);
    }
}

KERNEL void ul_silu(float *restrict out, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * sigmoid(x[i]);
}

INLINE float silu_slope(float v) {
    float s = sigmoid(v);
    return s * (1.0f + v * (1.0f - s));
}

KERNEL void ul_silu_backward(float *restrict out, const float *restrict x, const float *restrict gradient, int64_t n,
                             int accumulate) {
    if (accumulate) {
        for (int64_t i = 0; i < n; i++) out[i] += gradient[i] * silu_slope(x[i]);
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = gradient[i] * silu_slope(x[i]);
    }
}

// silu(gate) * up: the gated unit of arXiv 2002.05202.
KERNEL void ul_swiglu(float *restrict out, const float *restrict gate, const float *restrict up, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

KERNEL void ul_swiglu_backward(float *restrict gate_out, float *restrict up_out, const float *restrict gate,
                               const float *restrict up, const float *restrict gradient, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float g = gate[i], dy = gradient[i], u = up[i];
        float s = sigmoid(g);
        gate_out[i] = dy * u * s * (1.0f + g * (1.0f - s));
        up_out[i] = dy * g * s;
    }
}

// Zeroes each value with the given probability and scales the others, so that the expected value stays. The same key
// gives the same mask: the backward pass calls this on the gradient.
KERNEL void ul_dropout(float *restrict out, const float *restrict x, int64_t n, float probability, uint64_t key,
                       int accumulate) {
    uint32_t first = (uint32_t)key, second = (uint32_t)(key >> 32);
    uint32_t threshold = (uint32_t)((double)probability * 4294967295.0);
    float factor = 1.0f / (1.0f - probability);
    if (accumulate) {
        for (int64_t i = 0; i < n; i++) {
            out[i] += counter_random((uint32_t)i, first, second) >= threshold ? x[i] * factor : 0.0f;
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            out[i] = counter_random((uint32_t)i, first, second) >= threshold ? x[i] * factor : 0.0f;
        }
    }
}
