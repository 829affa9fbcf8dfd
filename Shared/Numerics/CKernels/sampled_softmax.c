#include "kernels.h"
#include "vector_math.h"

INLINE float row_dot(const float *restrict a, const float *restrict b, int64_t d) {
#pragma clang fp reassociate(on)
    float sum = 0;
    for (int64_t i = 0; i < d; i++) sum += a[i] * b[i];
    return sum;
}

// Sum over rows of the cross-entropy of one right column against shared negatives.
//
// logits, [rows, columns], are x . negative; `bias` is added to each column. A negative that is a row's own target takes
// no part in that row. With want_gradient the logits become their own gradient in the same pass, the softmax, and
// `chosen` gets that of x . positive, the softmax minus one.
KERNEL double ul_sampled_cross_entropy(float *restrict logits, float *restrict chosen, const float *restrict x,
                                       const float *restrict positives, const int32_t *restrict targets,
                                       const int32_t *restrict negatives, const float *restrict bias, int64_t rows,
                                       int64_t columns, int64_t d, int want_gradient) {
    double total = 0;
    for (int64_t r = 0; r < rows; r++) {
        float *restrict row = logits + r * columns;
        int32_t target = targets[r];
        float own = row_dot(x + r * d, positives + r * d, d);
        for (int64_t c = 0; c < columns; c++) row[c] = negatives[c] == target ? -INFINITY : row[c] + bias[c];
        float m = maximum_of(row, columns);
        m = own > m ? own : m;
        float rest = 0;
        {
#pragma clang fp reassociate(on)
            for (int64_t c = 0; c < columns; c++) {
                // The exponential of the kernel does not reach 0 by itself.
                float e = negatives[c] == target ? 0.0f : fast_exp(row[c] - m);
                row[c] = e;
                rest += e;
            }
        }
        float sum = fast_exp(own - m) + rest;
        total += (double)logf(sum) + m - own;
        if (want_gradient) {
            float factor = 1.0f / sum;
            for (int64_t c = 0; c < columns; c++) row[c] *= factor;
            // Not softmax - 1: near 1 the difference would be rounding only.
            chosen[r] = -rest * factor;
        }
    }
    return total;
}

// out[r] += factors[r] * x[r], or = without accumulate.
KERNEL void ul_scale_rows(float *restrict out, const float *restrict x, const float *restrict factors, int64_t rows,
                          int64_t d, int accumulate) {
    for (int64_t r = 0; r < rows; r++) {
        float factor = factors[r];
        if (accumulate) {
            for (int64_t i = 0; i < d; i++) out[r * d + i] += factor * x[r * d + i];
        } else {
            for (int64_t i = 0; i < d; i++) out[r * d + i] = factor * x[r * d + i];
        }
    }
}
