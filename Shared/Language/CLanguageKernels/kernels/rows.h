// Operations on rows and logits, included by each variant's file after lanes.h.

// What is left of `count` values at i, in a full register: the same arithmetic for a row's end as for its middle.
INLINE floats load_end(const float *x, int64_t left) {
    float part[LANES] = {0};
    memcpy(part, x, (size_t)left * 4);
    return LOAD(part);
}

INLINE void store_end(float *x, floats value, int64_t left) {
    float part[LANES];
    STORE(part, value);
    memcpy(x, part, (size_t)left * 4);
}

static void rms_norm(float *out, int64_t out_stride, const float *x, int64_t x_stride, const float *weight,
                     int64_t rows, int64_t width, float epsilon) {
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + r * x_stride;
        float *target = out + r * out_stride;
        floats a = {}, b = {};
        int64_t i = 0;
        for (; i + 2 * LANES <= width; i += 2 * LANES) {
            floats first = LOAD(row + i), second = LOAD(row + i + LANES);
            a = FMA(first, first, a);
            b = FMA(second, second, b);
        }
        for (; i < width; i += LANES) {
            floats value = width - i < LANES ? load_end(row + i, width - i) : LOAD(row + i);
            a = FMA(value, value, a);
        }
        float factor = 1 / sqrtf(sum_of(a + b) / (float)width + epsilon);
        for (i = 0; i + LANES <= width; i += LANES) {
            STORE(target + i, LOAD(row + i) * splat(factor) * LOAD(weight + i));
        }
        for (; i < width; i++) target[i] = row[i] * factor * weight[i];
    }
}

static void rotary(float *x, int64_t stride, const float *cosines, const float *sines, const int32_t *positions,
                   int64_t rows, int64_t heads, int64_t width) {
    int64_t half = width / 2;
    for (int64_t r = 0; r < rows; r++) {
        const float *c = cosines + positions[r] * half, *s = sines + positions[r] * half;
        for (int64_t h = 0; h < heads; h++) {
            float *a = x + r * stride + h * width, *b = a + half;
            int64_t i = 0;
            for (; i + LANES <= half; i += LANES) {
                floats first = LOAD(a + i), second = LOAD(b + i), cosine = LOAD(c + i), sine = LOAD(s + i);
                STORE(a + i, first * cosine - second * sine);
                STORE(b + i, second * cosine + first * sine);
            }
            for (; i < half; i++) rotate(a + i, b + i, c[i], s[i]);
        }
    }
}

INLINE floats silu_product(floats gate, floats up) { return gate / (splat(1) + exponential(-gate)) * up; }

static void silu_multiply(float *out, const float *gate, const float *up, int64_t count) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) STORE(out + i, silu_product(LOAD(gate + i), LOAD(up + i)));
    int64_t left = count - i;
    if (left > 0) store_end(out + i, silu_product(load_end(gate + i, left), load_end(up + i, left)), left);
}

static void add_scaled(float *out, const float *x, float factor, int64_t count) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) STORE(out + i, FMA(splat(factor), LOAD(x + i), LOAD(out + i)));
    for (; i < count; i++) out[i] = fmaf(factor, x[i], out[i]);
}

// MARK: - Cross-attention

static void cross_attention(float *out, int64_t out_stride, const float *q, int64_t q_stride, const float *k,
                            const float *v, int64_t count, int64_t rows, int64_t heads, int64_t head_width,
                            float scale) {
    int64_t all = heads * head_width;
    float scores[4096 + LANES];
    for (int64_t item = 0; item < rows * heads; item++) {
        int64_t at = item % heads * head_width;
        const float *own = q + item / heads * q_stride + at;
        float *target = out + item / heads * out_stride + at, largest = -INFINITY, sum = 0;
        for (int64_t j = 0; j < count; j++) {
            const float *key = k + j * all + at;
            floats a = {};
            int64_t d = 0;
            for (; d + LANES <= head_width; d += LANES) a = FMA(LOAD(own + d), LOAD(key + d), a);
            float score = sum_of(a);
            for (; d < head_width; d++) score = fmaf(own[d], key[d], score);
            scores[j] = score * scale;
            largest = scores[j] > largest ? scores[j] : largest;
        }
        for (int64_t j = count; j < count + LANES; j++) scores[j] = -INFINITY;
        for (int64_t j = 0; j < count; j += LANES) {
            STORE(scores + j, exponential(LOAD(scores + j) - splat(largest)));
        }
        for (int64_t j = 0; j < count; j++) sum += scores[j];
        float inverse = 1 / sum;
        int64_t d = 0;
        for (; d + LANES <= head_width; d += LANES) {
            floats total = {};
            for (int64_t j = 0; j < count; j++) total = FMA(splat(scores[j]), LOAD(v + j * all + at + d), total);
            STORE(target + d, total * splat(inverse));
        }
        for (; d < head_width; d++) {
            float total = 0;
            for (int64_t j = 0; j < count; j++) total = fmaf(scores[j], v[j * all + at + d], total);
            target[d] = total * inverse;
        }
    }
}

// MARK: - Logits

static float maximum(const float *x, int64_t count) {
    floats a = splat(-INFINITY), b = a;
    int64_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        // A comparison with NaN is false, so NaN never gets in.
        a = larger(LOAD(x + i), a);
        b = larger(LOAD(x + i + LANES), b);
    }
    float largest = largest_of(larger(a, b));
    for (; i < count; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

static float exponentials(float *out, const float *x, float shift, int64_t count) {
    floats a = {};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        floats e = exponential(LOAD(x + i) - splat(shift));
        if (out) STORE(out + i, e);
        a += e;
    }
    float sum = sum_of(a);
    if (i == count) return sum;
    float part[LANES];
    STORE(part, exponential(load_end(x + i, count - i) - splat(shift)));
    for (int64_t j = i; j < count; j++) {
        if (out) out[j] = part[j - i];
        sum += part[j - i];
    }
    return sum;
}

static int64_t find_at_least(const float *x, int64_t first, int64_t count, float floor) {
    int64_t i = first;
    for (; i + 4 * LANES <= count; i += 4 * LANES) {
        ints found = (LOAD(x + i) >= splat(floor)) | (LOAD(x + i + LANES) >= splat(floor)) |
                     (LOAD(x + i + 2 * LANES) >= splat(floor)) | (LOAD(x + i + 3 * LANES) >= splat(floor));
        if (__builtin_reduce_or(found)) break;
    }
    for (; i < count; i++) {
        if (x[i] >= floor) return i;
    }
    return count;
}
