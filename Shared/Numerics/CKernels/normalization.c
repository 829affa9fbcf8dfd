#include "kernels.h"
#include "vector_math.h"

INLINE float sum_of(const float *x, int64_t n) {
#pragma clang fp reassociate(on)
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

INLINE float squared_distance(const float *x, float center, int64_t n) {
#pragma clang fp reassociate(on)
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - center) * (x[i] - center);
    return sum;
}

// y = (x - mean) / sqrt(variance + epsilon) * gain + bias for each row. Keeps mean and inverse deviation.
KERNEL void ul_layer_norm(float *restrict out, float *restrict mean, float *restrict inverse, const float *restrict x,
                          const float *restrict gain, const float *restrict bias, int64_t rows, int64_t d,
                          float epsilon) {
    for (int64_t r = 0; r < rows; r++) {
        const float *restrict row = x + r * d;
        float *restrict y = out + r * d;
        float m = sum_of(row, d) / (float)d;
        float s = 1.0f / __builtin_elementwise_sqrt(squared_distance(row, m, d) / (float)d + epsilon);
        for (int64_t i = 0; i < d; i++) y[i] = (row[i] - m) * s * gain[i] + bias[i];
        mean[r] = m;
        inverse[r] = s;
    }
}

// With n = (x - mean) * inverse and g = gradient * gain: dx = inverse * (g - mean(g) - n * mean(g * n)).
// The gradients of gain and bias are added to; they may be null together (frozen), as may `out`.
KERNEL void ul_layer_norm_backward(float *restrict out, float *restrict gain_out, float *restrict bias_out,
                                   const float *restrict x, const float *restrict mean,
                                   const float *restrict inverse, const float *restrict gain,
                                   const float *restrict gradient, int64_t rows, int64_t d, int accumulate) {
    for (int64_t r = 0; r < rows; r++) {
        const float *restrict row = x + r * d;
        const float *restrict dy = gradient + r * d;
        float m = mean[r], s = inverse[r];
        if (gain_out) {
            for (int64_t i = 0; i < d; i++) {
                gain_out[i] += dy[i] * (row[i] - m) * s;
                bias_out[i] += dy[i];
            }
        }
        if (!out) continue;
        float sum = 0, product = 0;
        {
#pragma clang fp reassociate(on)
            for (int64_t i = 0; i < d; i++) {
                float g = dy[i] * gain[i];
                sum += g;
                product += g * (row[i] - m);
            }
        }
        float a = sum / (float)d, b = product * s * s / (float)d;
        float *restrict dx = out + r * d;
        if (accumulate) {
            for (int64_t i = 0; i < d; i++) dx[i] += s * (dy[i] * gain[i] - a - (row[i] - m) * b);
        } else {
            for (int64_t i = 0; i < d; i++) dx[i] = s * (dy[i] * gain[i] - a - (row[i] - m) * b);
        }
    }
}

// y = x / sqrt(mean(x^2) + epsilon) * gain for each row (arXiv 1910.07467). Keeps the inverse.
KERNEL void ul_rms_norm(float *restrict out, float *restrict inverse, const float *restrict x,
                        const float *restrict gain, int64_t rows, int64_t d, float epsilon) {
    for (int64_t r = 0; r < rows; r++) {
        const float *restrict row = x + r * d;
        float *restrict y = out + r * d;
        float s = 1.0f / __builtin_elementwise_sqrt(squared_distance(row, 0, d) / (float)d + epsilon);
        for (int64_t i = 0; i < d; i++) y[i] = row[i] * s * gain[i];
        inverse[r] = s;
    }
}

// With g = gradient * gain: dx = inverse * (g - x * inverse^2 * mean(g * x)).
KERNEL void ul_rms_norm_backward(float *restrict out, float *restrict gain_out, const float *restrict x,
                                 const float *restrict inverse, const float *restrict gain,
                                 const float *restrict gradient, int64_t rows, int64_t d, int accumulate) {
    for (int64_t r = 0; r < rows; r++) {
        const float *restrict row = x + r * d;
        const float *restrict dy = gradient + r * d;
        float s = inverse[r];
        if (gain_out) {
            for (int64_t i = 0; i < d; i++) gain_out[i] += dy[i] * row[i] * s;
        }
        if (!out) continue;
        float product = 0;
        {
#pragma clang fp reassociate(on)
            for (int64_t i = 0; i < d; i++) product += dy[i] * gain[i] * row[i];
        }
        float b = product * s * s / (float)d;
        float *restrict dx = out + r * d;
        if (accumulate) {
            for (int64_t i = 0; i < d; i++) dx[i] += s * (dy[i] * gain[i] - row[i] * b);
        } else {
            for (int64_t i = 0; i < d; i++) dx[i] = s * (dy[i] * gain[i] - row[i] * b);
        }
    }
}
