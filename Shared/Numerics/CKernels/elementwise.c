#include "kernels.h"
#include "vector_math.h"

KERNEL void ul_fill(float *restrict out, float value, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = value;
}

KERNEL void ul_fill_rows(float *restrict out, const float *restrict row, int64_t rows, int64_t d) {
    for (int64_t r = 0; r < rows; r++) memcpy(out + r * d, row, (size_t)d * sizeof(float));
}

KERNEL void ul_add(float *restrict out, const float *restrict a, const float *restrict b, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

// out += factor * x
KERNEL void ul_accumulate(float *restrict out, const float *restrict x, float factor, int64_t n) {
    if (factor == 1.0f) {
        for (int64_t i = 0; i < n; i++) out[i] += x[i];
    } else {
        for (int64_t i = 0; i < n; i++) out[i] += factor * x[i];
    }
}

KERNEL void ul_scale(float *restrict out, const float *restrict x, float factor, int64_t n, int accumulate) {
    if (accumulate) {
        for (int64_t i = 0; i < n; i++) out[i] += factor * x[i];
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = factor * x[i];
    }
}

KERNEL void ul_scale_in_place(float *restrict x, float factor, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] *= factor;
}

KERNEL void ul_multiply(float *restrict out, const float *restrict a, const float *restrict b, int64_t n,
                        int accumulate) {
    if (accumulate) {
        for (int64_t i = 0; i < n; i++) out[i] += a[i] * b[i];
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = a[i] * b[i];
    }
}

// out = x + factor * y
KERNEL void ul_gated_add(float *restrict out, const float *restrict x, const float *restrict y, float factor,
                         int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] + factor * y[i];
}

// Adds one row to each of the rows.
KERNEL void ul_add_rows(float *restrict out, const float *restrict x, const float *restrict row, int64_t rows,
                        int64_t d) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < d; i++) out[r * d + i] = x[r * d + i] + row[i];
    }
}

// The sum of all rows; four rows at a time, so that the sums are loaded and stored a quarter as often.
KERNEL void ul_sum_rows(float *restrict out, const float *restrict x, int64_t rows, int64_t d, int accumulate) {
    if (!accumulate) memset(out, 0, (size_t)d * sizeof(float));
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const float *restrict a = x + r * d, *restrict b = a + d, *restrict c = b + d, *restrict e = c + d;
        for (int64_t i = 0; i < d; i++) out[i] += (a[i] + b[i]) + (c[i] + e[i]);
    }
    for (; r < rows; r++) {
        for (int64_t i = 0; i < d; i++) out[i] += x[r * d + i];
    }
}

// Copies d columns of each row between matrices of different widths.
KERNEL void ul_copy_columns(float *restrict out, int64_t out_stride, const float *restrict x, int64_t x_stride,
                            int64_t rows, int64_t d, int accumulate) {
    for (int64_t r = 0; r < rows; r++) {
        if (accumulate) {
            for (int64_t i = 0; i < d; i++) out[r * out_stride + i] += x[r * x_stride + i];
        } else {
            memcpy(out + r * out_stride, x + r * x_stride, (size_t)d * sizeof(float));
        }
    }
}

// Sums of products are kept in Float32 within blocks of 4,096 and in double between them.
KERNEL double ul_dot(const float *restrict a, const float *restrict b, int64_t n) {
    double total = 0;
    for (int64_t start = 0; start < n; start += 4096) {
        int64_t end = start + 4096 < n ? start + 4096 : n;
        float sum = 0;
        {
#pragma clang fp reassociate(on)
            for (int64_t i = start; i < end; i++) sum += a[i] * b[i];
        }
        total += sum;
    }
    return total;
}

KERNEL int64_t ul_first_not_finite(const float *x, int64_t n) {
    const uint32_t exponent = 0x7f800000u;
    for (int64_t start = 0; start < n; start += 4096) {
        int64_t end = start + 4096 < n ? start + 4096 : n;
        // By bits, not by comparison, so that no option for fast mathematics can leave it out.
        uint32_t found = 0;
        for (int64_t i = start; i < end; i++) {
            uint32_t bits;
            memcpy(&bits, x + i, sizeof bits);
            found |= (bits & exponent) == exponent;
        }
        if (!found) continue;
        for (int64_t i = start; i < end; i++) {
            uint32_t bits;
            memcpy(&bits, x + i, sizeof bits);
            if ((bits & exponent) == exponent) return i;
        }
    }
    return -1;
}
