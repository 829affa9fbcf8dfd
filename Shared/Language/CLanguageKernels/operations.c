#include "internal.h"

// The operations that only pass on to the variant in use, and what is made of its parts.

void lk_rms_norm(float *out, int64_t out_stride, const float *x, int64_t x_stride, const float *weight, int64_t rows,
                 int64_t width, float epsilon) {
    lk_variant_in_use()->rms_norm(out, out_stride, x, x_stride, weight, rows, width, epsilon);
}

void lk_rotary(float *x, int64_t stride, const float *cosines, const float *sines, const int32_t *positions,
               int64_t rows, int64_t heads, int64_t width) {
    lk_variant_in_use()->rotary(x, stride, cosines, sines, positions, rows, heads, width);
}

void lk_silu_multiply(float *out, const float *gate, const float *up, int64_t count) {
    lk_variant_in_use()->silu_multiply(out, gate, up, count);
}

void lk_add_scaled(float *out, const float *x, float factor, int64_t count) {
    lk_variant_in_use()->add_scaled(out, x, factor, count);
}

void lk_cross_attention(float *out, int64_t out_stride, const float *q, int64_t q_stride, const float *k,
                        const float *v, int64_t count, int64_t rows, int64_t heads, int64_t head_width, float scale) {
    lk_variant_in_use()->cross_attention(out, out_stride, q, q_stride, k, v, count, rows, heads, head_width, scale);
}

// MARK: - Logits

int64_t lk_argmax(const float *x, int64_t count) {
    const lk_variant *variant = lk_variant_in_use();
    float largest = variant->maximum(x, count);
    if (largest == -INFINITY) return 0;
    int64_t place = variant->find_at_least(x, 0, count, largest);
    return place < count ? place : 0;
}

float lk_log_sum_exp(const float *x, int64_t count) {
    const lk_variant *variant = lk_variant_in_use();
    float largest = variant->maximum(x, count);
    if (largest == -INFINITY || largest == INFINITY) return largest;
    return largest + logf(variant->exponentials(NULL, x, largest, count));
}

void lk_probabilities(float *out, const float *x, float log_sum, int64_t count) {
    lk_variant_in_use()->exponentials(out, x, log_sum, count);
}

// Whether candidate a stands below candidate b: smaller, or equal with a greater index.
static int below(float a, int32_t a_index, float b, int32_t b_index) {
    return a < b || (a == b && a_index > b_index);
}

// Lets the candidate at `place` sink in a heap whose root is the lowest.
static void sink(float *values, int32_t *indices, int64_t place, int64_t count) {
    for (;;) {
        int64_t lowest = place;
        for (int64_t child = 2 * place + 1; child <= 2 * place + 2 && child < count; child++) {
            if (below(values[child], indices[child], values[lowest], indices[lowest])) lowest = child;
        }
        if (lowest == place) return;
        float value = values[place];
        int32_t index = indices[place];
        values[place] = values[lowest];
        indices[place] = indices[lowest];
        values[lowest] = value;
        indices[lowest] = index;
        place = lowest;
    }
}

int64_t lk_top_k(const float *x, int64_t count, int64_t k, float *values, int32_t *indices) {
    if (k > count) k = count;
    if (k <= 0) return 0;
    // A heap of the best so far; only what reaches its lowest is looked at one by one.
    for (int64_t i = 0; i < k; i++) {
        values[i] = x[i] != x[i] ? -INFINITY : x[i];
        indices[i] = (int32_t)i;
    }
    for (int64_t i = k / 2; i-- > 0;) sink(values, indices, i, k);
    const lk_variant *variant = lk_variant_in_use();
    for (int64_t i = variant->find_at_least(x, k, count, values[0]); i < count;
         i = variant->find_at_least(x, i + 1, count, values[0])) {
        if (!below(values[0], indices[0], x[i], (int32_t)i)) continue;
        values[0] = x[i];
        indices[0] = (int32_t)i;
        sink(values, indices, 0, k);
    }
    // Takes the lowest out again and again, to the end.
    for (int64_t n = k - 1; n > 0; n--) {
        float value = values[0];
        int32_t index = indices[0];
        values[0] = values[n];
        indices[0] = indices[n];
        values[n] = value;
        indices[n] = index;
        sink(values, indices, 0, n);
    }
    return k;
}
