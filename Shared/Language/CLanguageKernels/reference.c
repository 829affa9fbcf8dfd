#include "internal.h"

// Plain loops: what every other variant is tested against, and what runs where there is no other. Sums of products have
// the same order and the same fused roundings as in the other variants, so that they are equal bit for bit.

static int runs(void) { return 1; }

// MARK: - Inputs

static void prepare_row(const lk_input *input, int64_t row) {
    const float *x = input->x + row * input->stride;
    uint8_t *base = input->data + (size_t)row * input->row_bytes;
    float *scales = (float *)base, *sums = (float *)(base + input->sum_at);
    int32_t *negative = (int32_t *)(base + input->negative_at), *negative16 = (int32_t *)(base + input->negative16_at);
    int8_t *quants = (int8_t *)(base + input->quants_at);
    for (int64_t b = 0; b < input->inputs / input_block; b++) {
        const float *values = x + b * input_block;
        uint32_t largest = 0;
        for (int i = 0; i < input_block; i++) {
            uint32_t bits = to_bits(values[i]) & 0x7FFFFFFFu;
            largest = bits > largest ? bits : largest;
        }
        float most = from_bits(largest);
        // What is not finite makes the block NaN; what is too small for its inverse counts as zero.
        int usable = largest < 0x7F800000u && most >= 1e-30f;
        float inverse = usable ? 127.0f / most : 0;
        int32_t sum = 0, sum16 = 0;
        for (int i = 0; i < input_block; i++) {
            // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, and leaves it in the low bits.
            int32_t shifted = (int32_t)to_bits(fmaf(values[i], inverse, 12582912.0f));
            int8_t q = usable ? (int8_t)(shifted - 0x4B400000) : 0;
            quants[b * input_block + i] = q;
            sum += q;
            sum16 += q;
            if (i % 16 != 15) continue;
            negative16[(b * 32 + i) / 16] = -sum16;
            sum16 = 0;
        }
        scales[b] = largest < 0x7F800000u ? (usable ? most / 127.0f : 0) : NAN;
        sums[b] = scales[b] * (float)sum;
        negative[b] = -sum;
    }
}

static void prepare(const lk_input *input, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) prepare_row(input, row);
}

// MARK: - Products

static float side_number(const lk_matrix *m, const uint8_t *panel, size_t at, int64_t place) {
    uint16_t half;
    float value;
    if (m->scales == scales_f16) {
        memcpy(&half, panel + at + 2 * place, 2);
        return from_f16(half);
    }
    memcpy(&value, panel + at + 4 * place, 4);
    return value;
}

static float integer_product(const lk_matrix *m, const lk_input *input, int64_t row, const uint8_t *panel,
                             int64_t lane) {
    const uint8_t *base = input_row(input, row), *weights = panel + m->weights_at;
    const float *scales = (const float *)base, *sums = (const float *)(base + input->sum_at);
    const int8_t *x = (const int8_t *)(base + input->quants_at);
    float total = 0;
    for (int64_t b = 0; b < m->inputs / m->block; b++) {
        int32_t dot = 0;
        for (int64_t k = b * m->block; k < (b + 1) * m->block; k++) {
            int32_t w;
            if (m->bits == 8) {
                w = weights[(k / 4 * panel_width + lane) * 4 + k % 4];
            } else {
                w = weights[((k / 32 * 4 + k % 16 / 4) * panel_width + lane) * 4 + k % 4];
                w = k % 32 < 16 ? w & 15 : w >> 4;
            }
            dot += (w - m->zero) * x[k];
        }
        int64_t place = b * panel_width + lane, at = b * m->block / input_block;
        float scaled = (float)dot * scales[at];
        total = fmaf(scaled, side_number(m, panel, m->scales_at, place), total);
        if (m->minimums) total = fmaf(sums[at], side_number(m, panel, m->minimums_at, place), total);
    }
    return total;
}

static float float_product(const lk_matrix *m, const float *x, const uint8_t *panel, int64_t lane) {
    float total = 0, run = 0;
    for (int64_t k = 0; k < m->inputs; k++) {
        float w;
        if (m->bits == 32) {
            memcpy(&w, panel + (k * panel_width + lane) * 4, 4);
        } else {
            uint16_t bits;
            memcpy(&bits, panel + ((k / 2 * panel_width + lane) * 2 + k % 2) * 2, 2);
            w = from_bf16(bits);
        }
        run = fmaf(x[k], w, run);
        if (k % float_run != float_run - 1 && k + 1 != m->inputs) continue;
        total += run;
        run = 0;
    }
    return total;
}

static void multiply(const lk_matrix *matrix, const lk_input *input, int64_t first_row, int64_t last_row,
                     int64_t first, int64_t last, float *y, int64_t y_stride, const float *bias, int32_t accumulate) {
    for (int64_t n = first; n < last; n++) {
        const uint8_t *panel = matrix->data + (size_t)(n / panel_width) * matrix->panel_bytes;
        for (int64_t m = first_row; m < last_row; m++) {
            float sum = matrix->bits >= 16
                            ? float_product(matrix, input->x + m * input->stride, panel, n % panel_width)
                            : integer_product(matrix, input, m, panel, n % panel_width);
            if (bias) sum += bias[n];
            float *target = y + (m - first_row) * y_stride + n - first;
            *target = accumulate ? *target + sum : sum;
        }
    }
}

// MARK: - Rows

static void rms_norm(float *out, int64_t out_stride, const float *x, int64_t x_stride, const float *weight,
                     int64_t rows, int64_t width, float epsilon) {
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + r * x_stride;
        double squares = 0;
        for (int64_t i = 0; i < width; i++) squares += (double)row[i] * row[i];
        float factor = (float)(1 / sqrt(squares / (double)width + (double)epsilon));
        for (int64_t i = 0; i < width; i++) out[r * out_stride + i] = row[i] * factor * weight[i];
    }
}

static void rotary(float *x, int64_t stride, const float *cosines, const float *sines, const int32_t *positions,
                   int64_t rows, int64_t heads, int64_t width) {
    int64_t half = width / 2;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t h = 0; h < heads; h++) {
            float *head = x + r * stride + h * width;
            for (int64_t i = 0; i < half; i++) {
                int64_t angle = positions[r] * half + i;
                rotate(head + i, head + half + i, cosines[angle], sines[angle]);
            }
        }
    }
}

static void silu_multiply(float *out, const float *gate, const float *up, int64_t count) {
    for (int64_t i = 0; i < count; i++) out[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void add_scaled(float *out, const float *x, float factor, int64_t count) {
    for (int64_t i = 0; i < count; i++) out[i] = fmaf(factor, x[i], out[i]);
}

// MARK: - Attention

static float element(int32_t format, const uint8_t *base, int64_t place) {
    if (format == LK_CACHE_F32) {
        float x;
        memcpy(&x, base + 4 * place, 4);
        return x;
    }
    if (format == LK_CACHE_BF16) {
        uint16_t x;
        memcpy(&x, base + 2 * place, 2);
        return from_bf16(x);
    }
    return (float)((const int8_t *)base)[place];
}

static float scale_at(const lk_cache_layout *layout, const uint8_t *scales, int64_t position) {
    float scale = 1;
    if (layout->format == LK_CACHE_INT8) memcpy(&scale, scales + 4 * position, 4);
    return scale;
}

static void segment(const lk_attention *a, int32_t kv_head, int64_t first_row, int64_t rows, int64_t segment,
                    segment_state *state) {
    const lk_cache_layout *layout = &a->layout;
    page_plan plan = plan_page(layout);
    int64_t width = layout->head_width, group = a->heads / layout->kv_heads, start = segment * segment_positions;
    for (int64_t r = 0; r < rows; r++) {
        int64_t t = (first_row + r) / group, head = kv_head * group + (first_row + r) % group;
        int64_t end = a->first_position + t + 1;
        if (end > start + segment_positions) end = start + segment_positions;
        if (end <= start) continue;
        const float *q = a->q + t * a->q_stride + head * width;
        float scores[segment_positions], maximum = -INFINITY, sum = 0;
        for (int64_t p = start; p < end; p++) {
            int64_t in_page = p % layout->page_positions;
            const uint8_t *base = (const uint8_t *)a->pages[p / layout->page_positions];
            base += (size_t)kv_head * plan.head_bytes;
            float score = 0;
            for (int64_t i = 0; i < width; i++) {
                int64_t place = in_page / group_width * group_width * width + i * group_width + in_page % group_width;
                score = fmaf(q[i], element(layout->format, base + plan.keys_at, place), score);
            }
            scores[p - start] = score * a->scale * scale_at(layout, base, in_page);
            maximum = scores[p - start] > maximum ? scores[p - start] : maximum;
        }
        float *values = state->values + r * width;
        for (int64_t i = 0; i < width; i++) values[i] = 0;
        for (int64_t p = start; p < end; p++) {
            int64_t in_page = p % layout->page_positions;
            const uint8_t *base = (const uint8_t *)a->pages[p / layout->page_positions];
            base += (size_t)kv_head * plan.head_bytes;
            float weight = expf(scores[p - start] - maximum);
            sum += weight;
            weight *= scale_at(layout, base + plan.value_scales_at, in_page);
            for (int64_t i = 0; i < width; i++) {
                float v = element(layout->format, base + plan.values_at, in_page * width + i);
                values[i] = fmaf(weight, v, values[i]);
            }
        }
        state->maximum[r] = maximum;
        state->sum[r] = sum;
    }
}

static void cross_attention(float *out, int64_t out_stride, const float *q, int64_t q_stride, const float *k,
                            const float *v, int64_t count, int64_t rows, int64_t heads, int64_t head_width,
                            float scale) {
    int64_t all = heads * head_width;
    float scores[4096];
    for (int64_t i = 0; i < rows * heads; i++) {
        int64_t at = i % heads * head_width;
        const float *own = q + i / heads * q_stride + at;
        float *target = out + i / heads * out_stride + at, maximum = -INFINITY, sum = 0;
        for (int64_t j = 0; j < count; j++) {
            float score = 0;
            for (int64_t d = 0; d < head_width; d++) score = fmaf(own[d], k[j * all + at + d], score);
            scores[j] = score * scale;
            maximum = scores[j] > maximum ? scores[j] : maximum;
        }
        for (int64_t j = 0; j < count; j++) {
            scores[j] = expf(scores[j] - maximum);
            sum += scores[j];
        }
        for (int64_t d = 0; d < head_width; d++) {
            float total = 0;
            for (int64_t j = 0; j < count; j++) total = fmaf(scores[j], v[j * all + at + d], total);
            target[d] = total / sum;
        }
    }
}

// MARK: - Logits

static float maximum(const float *x, int64_t count) {
    float largest = -INFINITY;
    for (int64_t i = 0; i < count; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

static float exponentials(float *out, const float *x, float shift, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        float e = expf(x[i] - shift);
        if (out) out[i] = e;
        sum += e;
    }
    return (float)sum;
}

static int64_t find_at_least(const float *x, int64_t first, int64_t count, float floor) {
    for (int64_t i = first; i < count; i++) {
        if (x[i] >= floor) return i;
    }
    return count;
}

const lk_variant lk_reference = LK_VARIANT("reference", runs, 0, prepare, multiply);
