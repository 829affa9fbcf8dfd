#include "kernels.h"
#include "vector_math.h"

// Row indices[i] of the table for each i; a negative index gives zeros.
KERNEL void ul_gather_rows(float *restrict out, const float *restrict table, const int32_t *restrict indices,
                           int64_t n, int64_t d) {
    for (int64_t i = 0; i < n; i++) {
        if (indices[i] < 0) {
            memset(out + i * d, 0, (size_t)d * sizeof(float));
        } else {
            memcpy(out + i * d, table + (int64_t)indices[i] * d, (size_t)d * sizeof(float));
        }
    }
}

KERNEL void ul_scatter_add_rows(float *restrict table, const float *restrict x, const int32_t *restrict indices,
                                int64_t n, int64_t d) {
    for (int64_t i = 0; i < n; i++) {
        if (indices[i] < 0) continue;
        float *restrict row = table + (int64_t)indices[i] * d;
        for (int64_t j = 0; j < d; j++) row[j] += x[i * d + j];
    }
}

// The mean of the table's rows indices[offsets[i] ..< offsets[i + 1]]; zeros for an empty bag. Negative indices count
// as absent.
KERNEL void ul_bag_means(float *restrict out, const float *restrict table, const int32_t *restrict indices,
                         const int32_t *restrict offsets, int64_t n, int64_t d) {
    for (int64_t i = 0; i < n; i++) {
        float *restrict y = out + i * d;
        memset(y, 0, (size_t)d * sizeof(float));
        int32_t members = 0;
        for (int32_t c = offsets[i]; c < offsets[i + 1]; c++) members += indices[c] >= 0;
        float factor = 1.0f / (float)members;
        for (int32_t c = offsets[i]; c < offsets[i + 1]; c++) {
            if (indices[c] < 0) continue;
            const float *restrict row = table + (int64_t)indices[c] * d;
            for (int64_t j = 0; j < d; j++) y[j] += factor * row[j];
        }
    }
}

KERNEL void ul_bag_means_backward(float *restrict table, const float *restrict gradient,
                                  const int32_t *restrict indices, const int32_t *restrict offsets, int64_t n,
                                  int64_t d) {
    for (int64_t i = 0; i < n; i++) {
        const float *restrict g = gradient + i * d;
        int32_t members = 0;
        for (int32_t c = offsets[i]; c < offsets[i + 1]; c++) members += indices[c] >= 0;
        float factor = 1.0f / (float)members;
        for (int32_t c = offsets[i]; c < offsets[i + 1]; c++) {
            if (indices[c] < 0) continue;
            float *restrict row = table + (int64_t)indices[c] * d;
            for (int64_t j = 0; j < d; j++) row[j] += factor * g[j];
        }
    }
}

// The mean of the first lengths[b] rows of each batch row; zeros for length 0.
KERNEL void ul_masked_mean(float *restrict out, const float *restrict x, const int32_t *restrict lengths,
                           int64_t batch, int64_t time, int64_t d) {
    for (int64_t b = 0; b < batch; b++) {
        float *restrict y = out + b * d;
        memset(y, 0, (size_t)d * sizeof(float));
        float factor = 1.0f / (float)lengths[b];
        for (int32_t t = 0; t < lengths[b]; t++) {
            const float *restrict row = x + (b * time + t) * d;
            for (int64_t j = 0; j < d; j++) y[j] += factor * row[j];
        }
    }
}

KERNEL void ul_masked_mean_backward(float *restrict out, const float *restrict gradient,
                                    const int32_t *restrict lengths, int64_t batch, int64_t time, int64_t d,
                                    int accumulate) {
    for (int64_t b = 0; b < batch; b++) {
        const float *restrict g = gradient + b * d;
        float factor = 1.0f / (float)lengths[b];
        for (int64_t t = 0; t < time; t++) {
            float *restrict row = out + (b * time + t) * d;
            if (!accumulate) memset(row, 0, (size_t)d * sizeof(float));
            if (t >= lengths[b]) continue;
            for (int64_t j = 0; j < d; j++) row[j] += factor * g[j];
        }
    }
}

// Rotates the pair (x[j], x[j + width / 2]) of each head by the angle of its row's position. The tables hold width / 2
// values per position. `inverse` turns back, which is the backward pass.
KERNEL void ul_rotary(float *restrict out, const float *restrict x, const float *restrict cosines,
                      const float *restrict sines, const int32_t *restrict positions, int64_t rows, int64_t heads,
                      int64_t width, int inverse, int accumulate) {
    int64_t half = width / 2;
    float sign = inverse ? -1.0f : 1.0f;
    for (int64_t r = 0; r < rows; r++) {
        const float *restrict c = cosines + (int64_t)positions[r] * half;
        const float *restrict s = sines + (int64_t)positions[r] * half;
        for (int64_t h = 0; h < heads; h++) {
            const float *restrict a = x + (r * heads + h) * width;
            float *restrict y = out + (r * heads + h) * width;
            if (accumulate) {
                for (int64_t j = 0; j < half; j++) {
                    y[j] += a[j] * c[j] - a[j + half] * s[j] * sign;
                    y[j + half] += a[j + half] * c[j] + a[j] * s[j] * sign;
                }
            } else {
                for (int64_t j = 0; j < half; j++) {
                    y[j] = a[j] * c[j] - a[j + half] * s[j] * sign;
                    y[j + half] = a[j + half] * c[j] + a[j] * s[j] * sign;
                }
            }
        }
    }
}
