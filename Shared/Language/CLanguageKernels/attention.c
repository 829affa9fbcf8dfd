#include "internal.h"

#include <float.h>

// MARK: - Pages

static int layout_is_sound(const lk_cache_layout *layout) {
    return layout->format >= LK_CACHE_F32 && layout->format <= LK_CACHE_INT8 && layout->kv_heads >= 1 &&
           layout->kv_heads <= 1024 && layout->head_width >= 16 && layout->head_width <= max_head_width &&
           layout->head_width % 16 == 0 && layout->page_positions >= group_width && layout->page_positions <= 256 &&
           layout->page_positions % group_width == 0;
}

size_t lk_page_bytes(const lk_cache_layout *layout) {
    if (!layout_is_sound(layout)) return 0;
    return rounded_up(plan_page(layout).head_bytes * (size_t)layout->kv_heads, 64);
}

// Largest magnitude / 127, or NaN if a value is not finite.
static float scale_of(const float *x, int64_t n) {
    uint32_t largest = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = to_bits(x[i]) & 0x7FFFFFFFu;
        largest = bits > largest ? bits : largest;
    }
    return largest < 0x7F800000u ? from_bits(largest) / 127.0f : NAN;
}

static int8_t int8_of(float x, float inverse) {
    float q = x * inverse;
    // Rounds to the nearest, ties to even, for magnitudes far below 2^22.
    return (int8_t)(int32_t)(q + 12582912.0f - 12582912.0f);
}

// Values i of a head go to base[i * step].
static float store_head(int32_t format, uint8_t *base, int64_t step, const float *x, int64_t width) {
    if (format == LK_CACHE_F32) {
        for (int64_t i = 0; i < width; i++) memcpy(base + i * step * 4, x + i, 4);
        return 1;
    }
    if (format == LK_CACHE_BF16) {
        for (int64_t i = 0; i < width; i++) {
            uint16_t value = bf16_from(x[i]);
            memcpy(base + i * step * 2, &value, 2);
        }
        return 1;
    }
    float scale = scale_of(x, width);
    // Below the smallest scale whose inverse is finite a head counts as zero.
    float inverse = scale >= 1e-37f ? 1.0f / scale : 0;
    for (int64_t i = 0; i < width; i++) base[i * step] = inverse > 0 ? (uint8_t)int8_of(x[i], inverse) : 0;
    return scale;
}

void lk_cache_write(const lk_cache_layout *layout, void *const *pages, int64_t first_position, const float *k,
                    int64_t k_stride, const float *v, int64_t v_stride, int64_t rows) {
    page_plan plan = plan_page(layout);
    int64_t width = layout->head_width;
    for (int64_t r = 0; r < rows; r++) {
        int64_t position = (first_position + r) % layout->page_positions;
        uint8_t *page = pages[(first_position + r) / layout->page_positions];
        for (int64_t h = 0; h < layout->kv_heads; h++) {
            uint8_t *head = page + (size_t)h * plan.head_bytes;
            int64_t key = position / group_width * group_width * width + position % group_width;
            uint8_t *key_at = head + plan.keys_at + (size_t)key * plan.element;
            uint8_t *value_at = head + plan.values_at + (size_t)(position * width) * plan.element;
            float key_scale =
                store_head(layout->format, key_at, group_width, k + r * k_stride + h * width, width);
            float value_scale = store_head(layout->format, value_at, 1, v + r * v_stride + h * width, width);
            if (layout->format != LK_CACHE_INT8) continue;
            memcpy(head + 4 * position, &key_scale, 4);
            memcpy(head + plan.value_scales_at + 4 * (size_t)position, &value_scale, 4);
        }
    }
}

// MARK: - Items
//
// Rows (position, query head of a group) are taken in chunks; a chunk of one key/value head is an item. Where there is
// one chunk and a long context, each segment of it is an item, whose state goes to the workspace:
// [kv_heads][segments][rows] maximums, sums, and [kv_heads][segments][rows][width] values.

typedef struct {
    int64_t group, rows, chunks, segments;
    int pieces;  // whether segments are items
} attention_plan;

static attention_plan plan_of(const lk_attention *a) {
    attention_plan plan;
    plan.group = a->heads / a->layout.kv_heads;
    plan.rows = a->rows * plan.group;
    plan.chunks = (plan.rows + chunk_rows - 1) / chunk_rows;
    plan.segments = (a->first_position + a->rows + segment_positions - 1) / segment_positions;
    plan.pieces = plan.chunks == 1 && plan.segments > 1;
    return plan;
}

int32_t lk_attention_check(const lk_attention *a) {
    if (!layout_is_sound(&a->layout)) return LK_ERROR_SHAPE;
    int64_t most = INT64_C(1) << 30;
    if (a->first_position < 0 || a->first_position > most || a->rows < 0 || a->rows > most) return LK_ERROR_SHAPE;
    if (a->heads < a->layout.kv_heads || a->heads % a->layout.kv_heads != 0 || a->heads > 4096) return LK_ERROR_SHAPE;
    return LK_OK;
}

size_t lk_attention_workspace_bytes(const lk_attention *a) {
    attention_plan plan = plan_of(a);
    if (!plan.pieces) return 0;
    return (size_t)(a->layout.kv_heads * plan.segments * plan.rows * (a->layout.head_width + 2)) * 4;
}

int64_t lk_attention_items(const lk_attention *a) {
    attention_plan plan = plan_of(a);
    return a->layout.kv_heads * (plan.pieces ? plan.segments : plan.chunks);
}

static int64_t position_of(const lk_attention *a, const attention_plan *plan, int64_t row) {
    return a->first_position + row / plan->group;
}

static float *out_row(const lk_attention *a, const attention_plan *plan, int64_t kv_head, int64_t row) {
    int64_t head = kv_head * plan->group + row % plan->group;
    return a->out + row / plan->group * a->out_stride + head * a->layout.head_width;
}

// Adds what one segment gave to what those before it gave.
static void join(float *maximum, float *sum, float *values, float segment_maximum, float segment_sum,
                 const float *segment_values, int64_t width) {
    // A maximum of minus infinity against itself would give NaN where there is simply nothing.
    float largest = segment_maximum > *maximum ? segment_maximum : *maximum;
    float before = largest == *maximum ? 1 : expf(*maximum - largest);
    float now = largest == segment_maximum ? 1 : expf(segment_maximum - largest);
    for (int64_t i = 0; i < width; i++) values[i] = values[i] * before + segment_values[i] * now;
    *sum = *sum * before + segment_sum * now;
    *maximum = largest;
}

static void divide(float *out, const float *values, float sum, int64_t width) {
    float inverse = 1 / sum;
    for (int64_t i = 0; i < width; i++) out[i] = values[i] * inverse;
}

static void run_chunk(const lk_attention *a, const attention_plan *plan, int32_t kv_head, int64_t chunk) {
    int64_t row = chunk * chunk_rows, width = a->layout.head_width;
    int64_t rows = plan->rows - row < chunk_rows ? plan->rows - row : chunk_rows;
    segment_state total, state;
    const lk_variant *variant = lk_variant_in_use();
    int64_t last = position_of(a, plan, row + rows - 1) / segment_positions;
    for (int64_t s = 0; s <= last; s++) {
        variant->segment(a, kv_head, row, rows, s, s == 0 ? &total : &state);
        if (s == 0) continue;
        for (int64_t r = 0; r < rows; r++) {
            if (position_of(a, plan, row + r) < s * segment_positions) continue;
            join(total.maximum + r, total.sum + r, total.values + r * width, state.maximum[r], state.sum[r],
                 state.values + r * width, width);
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        divide(out_row(a, plan, kv_head, row + r), total.values + r * width, total.sum[r], width);
    }
}

typedef struct {
    float *maximum, *sum, *values;
} piece;

static piece piece_at(const lk_attention *a, const attention_plan *plan, int64_t kv_head, int64_t segment) {
    int64_t all = a->layout.kv_heads * plan->segments * plan->rows;
    int64_t first = (kv_head * plan->segments + segment) * plan->rows;
    float *base = a->workspace;
    return (piece){base + first, base + all + first, base + 2 * all + first * a->layout.head_width};
}

void lk_attention_run(const lk_attention *a, int64_t item) {
    attention_plan plan = plan_of(a);
    int64_t heads = a->layout.kv_heads;
    if (plan.rows == 0) return;
    if (!plan.pieces) {
        // The last rows see most keys: they go first, so that no member ends with a long item.
        run_chunk(a, &plan, (int32_t)(item % heads), plan.chunks - 1 - item / heads);
        return;
    }
    segment_state state;
    int64_t segment = item / heads;
    int32_t kv_head = (int32_t)(item % heads);
    lk_variant_in_use()->segment(a, kv_head, 0, plan.rows, segment, &state);
    piece out = piece_at(a, &plan, kv_head, segment);
    memcpy(out.maximum, state.maximum, (size_t)plan.rows * 4);
    memcpy(out.sum, state.sum, (size_t)plan.rows * 4);
    memcpy(out.values, state.values, (size_t)(plan.rows * a->layout.head_width) * 4);
}

void lk_attention_finish(const lk_attention *a, int32_t member, int32_t members) {
    attention_plan plan = plan_of(a);
    if (!plan.pieces) return;
    int64_t width = a->layout.head_width, all = a->layout.kv_heads * plan.rows;
    for (int64_t i = all * member / members; i < all * (member + 1) / members; i++) {
        int64_t kv_head = i / plan.rows, r = i % plan.rows;
        piece total = piece_at(a, &plan, kv_head, 0);
        for (int64_t s = 1; s < plan.segments && position_of(a, &plan, r) >= s * segment_positions; s++) {
            piece next = piece_at(a, &plan, kv_head, s);
            join(total.maximum + r, total.sum + r, total.values + r * width, next.maximum[r], next.sum[r],
                 next.values + r * width, width);
        }
        divide(out_row(a, &plan, kv_head, r), total.values + r * width, total.sum[r], width);
    }
}

void lk_attention_all(const lk_attention *a) {
    int64_t items = lk_attention_items(a);
    for (int64_t i = 0; i < items; i++) lk_attention_run(a, i);
    lk_attention_finish(a, 0, 1);
}
