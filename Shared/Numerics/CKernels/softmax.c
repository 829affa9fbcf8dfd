#include "kernels.h"
#include "vector_math.h"

// How many keys row r may see: all, or those up to its own position. Row r of the queries stands at key r + offset.
INLINE int64_t visible(int64_t r, int64_t columns, int causal, int64_t offset) {
    if (!causal) return columns;
    int64_t n = r + offset + 1;
    return n < 0 ? 0 : (n < columns ? n : columns);
}

// Stores e^(x - m) over x and gives the sum.
INLINE float exponentials(float *restrict x, float m, int64_t n) {
#pragma clang fp reassociate(on)
    float sum = 0;
    for (int64_t i = 0; i < n; i++) {
        float e = fast_exp(x[i] - m);
        x[i] = e;
        sum += e;
    }
    return sum;
}

// Softmax of each row in place, keys past the visible ones get 0. Keeps log(sum(e^x)) for the backward pass.
KERNEL void ul_attention_softmax(float *restrict scores, float *restrict log_sums, int64_t rows, int64_t columns,
                                 int64_t stride, int causal, int64_t offset) {
    for (int64_t r = 0; r < rows; r++) {
        float *restrict row = scores + r * stride;
        int64_t n = visible(r, columns, causal, offset);
        if (n > 0) {
            float m = maximum_of(row, n);
            float sum = exponentials(row, m, n);
            float inverse = 1.0f / sum;
            for (int64_t i = 0; i < n; i++) row[i] *= inverse;
            log_sums[r] = m + logf(sum);
        } else {
            log_sums[r] = 0;
        }
        for (int64_t i = n; i < columns; i++) row[i] = 0;
    }
}

// The same probabilities from the same scores and the kept sums.
KERNEL void ul_attention_probabilities(float *restrict scores, const float *restrict log_sums, int64_t rows,
                                       int64_t columns, int64_t stride, int causal, int64_t offset) {
    for (int64_t r = 0; r < rows; r++) {
        float *restrict row = scores + r * stride;
        int64_t n = visible(r, columns, causal, offset);
        float m = log_sums[r];
        for (int64_t i = 0; i < n; i++) row[i] = fast_exp(row[i] - m);
        for (int64_t i = n; i < columns; i++) row[i] = 0;
    }
}

// Gradient of the scores, in place over the gradient of the probabilities: p * (dp - delta) * scale.
KERNEL void ul_attention_score_gradient(float *restrict gradient, const float *restrict probabilities,
                                        const float *restrict deltas, int64_t rows, int64_t columns, int64_t stride,
                                        int causal, int64_t offset, float scale) {
    for (int64_t r = 0; r < rows; r++) {
        float *restrict g = gradient + r * stride;
        const float *restrict p = probabilities + r * stride;
        int64_t n = visible(r, columns, causal, offset);
        float delta = deltas[r];
        for (int64_t i = 0; i < n; i++) g[i] = p[i] * (g[i] - delta) * scale;
        for (int64_t i = n; i < columns; i++) g[i] = 0;
    }
}

// The dot product of row r of a with row r of b, for each row.
KERNEL void ul_row_dots(float *restrict out, const float *restrict a, const float *restrict b, int64_t rows,
                        int64_t d, int64_t stride) {
    for (int64_t r = 0; r < rows; r++) {
        float sum = 0;
        {
#pragma clang fp reassociate(on)
            for (int64_t i = 0; i < d; i++) sum += a[r * stride + i] * b[r * stride + i];
        }
        out[r] = sum;
    }
}

// Sum of weight * loss over rows, without those whose target is negative. With want_gradient the logits become their
// own gradient: weight * (softmax - one at the target), in the same pass while the row is in cache.
KERNEL double ul_cross_entropy(float *restrict logits, const int32_t *restrict targets, const float *restrict weights,
                               int64_t rows, int64_t columns, int want_gradient) {
    double total = 0;
    for (int64_t r = 0; r < rows; r++) {
        float *restrict row = logits + r * columns;
        int32_t target = targets[r];
        float weight = weights ? weights[r] : 1.0f;
        if (target < 0) {
            if (want_gradient) memset(row, 0, (size_t)columns * sizeof(float));
            continue;
        }
        float m = maximum_of(row, columns);
        float chosen = row[target];
        float sum = exponentials(row, m, columns);
        total += (double)weight * ((double)logf(sum) + m - chosen);
        if (want_gradient) {
            float factor = weight / sum;
            for (int64_t i = 0; i < columns; i++) row[i] *= factor;
            row[target] -= weight;
        }
    }
    return total;
}

// The same with the softmax over the candidates of each row only: candidates[offsets[r] ..< offsets[r + 1]]. The
// gradient, if not null, is zero at all other columns.
KERNEL double ul_cross_entropy_candidates(float *restrict gradient, const float *restrict logits,
                                          const int32_t *restrict targets, const float *restrict weights,
                                          const int32_t *restrict candidates, const int32_t *restrict offsets,
                                          int64_t rows, int64_t columns) {
    double total = 0;
    if (gradient) memset(gradient, 0, (size_t)(rows * columns) * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        const float *restrict row = logits + r * columns;
        int32_t target = targets[r];
        if (target < 0) continue;
        float weight = weights ? weights[r] : 1.0f;
        float m = row[target];
        for (int32_t c = offsets[r]; c < offsets[r + 1]; c++) m = row[candidates[c]] > m ? row[candidates[c]] : m;
        float sum = 0;
        for (int32_t c = offsets[r]; c < offsets[r + 1]; c++) sum += fast_exp(row[candidates[c]] - m);
        total += (double)weight * ((double)logf(sum) + m - row[target]);
        if (!gradient) continue;
        float factor = weight / sum;
        float *restrict g = gradient + r * columns;
        for (int32_t c = offsets[r]; c < offsets[r + 1]; c++) {
            g[candidates[c]] = factor * fast_exp(row[candidates[c]] - m);
        }
        g[target] -= weight;
    }
    return total;
}
