#include "kernels.h"
#include "vector_math.h"

// Attention weights without a softmax (HSTU, arXiv 2402.17152): silu(q . k + position bias + time bias) * scale.
//
// A tile holds the rows of queries first, first + 1, ... and its columns are the keys from 0 on. The bias of query t and
// key s is positions[s - t + last]: so a row's biases lie in a row. Under causal a query sees keys 0 through t.

INLINE int64_t seen_keys(int64_t t, int64_t columns, int causal) {
    return causal && t + 1 < columns ? t + 1 : columns;
}

// Two buckets for each doubling of 1 + seconds: the exponent and the first bit after it, read from the Float32 itself.
INLINE int32_t time_bucket(int32_t a, int32_t b, int32_t buckets) {
    // Subtracted as whole numbers: as Float32 two times far from 0 would lose the seconds between them.
    float distance = 1.0f + (float)(a > b ? (uint32_t)a - (uint32_t)b : (uint32_t)b - (uint32_t)a);
    int32_t bits;
    memcpy(&bits, &distance, 4);
    int32_t bucket = (bits >> 22) - 254;
    return bucket < buckets ? bucket : buckets - 1;
}

INLINE void add_biases(float *restrict row, const float *restrict positions, const float *restrict biases,
                       const int32_t *restrict times, int32_t time, int32_t buckets, int64_t n) {
    if (biases) {
        for (int64_t s = 0; s < n; s++) row[s] += positions[s] + biases[time_bucket(time, times[s], buckets)];
    } else {
        for (int64_t s = 0; s < n; s++) row[s] += positions[s];
    }
}

// Turns q . k into weights in place; keys that a query does not see get 0.
KERNEL void ul_pointwise_weights(float *restrict scores, const float *restrict positions, int64_t last,
                                 const float *restrict biases, const int32_t *restrict times, int32_t buckets,
                                 int64_t first, int64_t rows, int64_t columns, int64_t stride, int causal,
                                 float scale) {
    for (int64_t r = 0; r < rows; r++) {
        int64_t t = first + r, n = seen_keys(t, columns, causal);
        float *restrict row = scores + r * stride;
        add_biases(row, positions + last - t, biases, times, biases ? times[t] : 0, buckets, n);
        for (int64_t s = 0; s < n; s++) row[s] *= sigmoid(row[s]) * scale;
        for (int64_t s = n; s < columns; s++) row[s] = 0;
    }
}

// From q . k and the gradient of the weights: the weights over the former, the gradient of q . k over the latter, and
// the biases' gradients added to theirs. The time bias is left out when null.
KERNEL void ul_pointwise_gradient(float *restrict scores, float *restrict gradient, const float *restrict positions,
                                  float *restrict position_gradient, int64_t last, const float *restrict biases,
                                  float *restrict bias_gradient, const int32_t *restrict times, int32_t buckets,
                                  int64_t first, int64_t rows, int64_t columns, int64_t stride, int causal,
                                  float scale) {
    for (int64_t r = 0; r < rows; r++) {
        int64_t t = first + r, n = seen_keys(t, columns, causal);
        float *restrict row = scores + r * stride, *restrict g = gradient + r * stride;
        float *restrict own = position_gradient + last - t;
        add_biases(row, positions + last - t, biases, times, biases ? times[t] : 0, buckets, n);
        for (int64_t s = 0; s < n; s++) {
            float x = row[s], gate = sigmoid(x);
            row[s] = x * gate * scale;
            float slope = g[s] * gate * (1.0f + x * (1.0f - gate)) * scale;
            g[s] = slope;
            own[s] += slope;
        }
        for (int64_t s = n; s < columns; s++) {
            row[s] = 0;
            g[s] = 0;
        }
        if (!biases) continue;
        for (int64_t s = 0; s < n; s++) bias_gradient[time_bucket(times[t], times[s], buckets)] += g[s];
    }
}
