// Attention over pages, included by each variant's file after lanes.h. It has defined score_rows, score_groups: the
// size of a tile of scores, rows by groups of 16 positions.
//
// Positions are taken in blocks of 64 (32 for wide heads), counted from the start of the sequence. A row goes through
// every block up to its own position in the same steps, alone or with others.

enum { block_most = 64, block_groups_most = block_most / group_width, query_step = 8 };

// Keys and values of the groups of a block, where they stand or as Float32.
typedef struct {
    const uint8_t *keys[block_groups_most], *values[block_groups_most];
    const float *key_scales[block_groups_most], *value_scales[block_groups_most];  // int8 only
} block_view;

INLINE floats element_load(const int format, const uint8_t *base, int64_t place) {
    if (format == LK_CACHE_F32) return LOAD(base + 4 * place);
    if (format == LK_CACHE_BF16) return from_bf16s(base + 2 * place);
    return from_int8s(base + place);
}

// scores[r][p] = q[r] . key p, for `groups` groups. Queries stand side by side: q[d][r].
INLINE void score_tile(const int rows, const int groups, const int format, const block_view *view, int first_group,
                       const float *q, int64_t width, float *scores) {
    enum { most = score_groups * panel_registers };
    const int registers = groups * panel_registers;
    floats sum[score_rows][most];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < registers; v++) sum[r][v] = (floats){};
    }
    const uint8_t *keys[score_groups];
    UNROLL for (int g = 0; g < groups; g++) keys[g] = view->keys[first_group + g];
    KEEP_LOOP for (int64_t d = 0; d < width; d++) {
        floats key[most];
        UNROLL for (int v = 0; v < registers; v++) {
            key[v] = element_load(format, keys[v / panel_registers],
                                  d * group_width + v % panel_registers * LANES);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            floats value = splat(q[d * query_step + r]);
            UNROLL for (int v = 0; v < registers; v++) sum[r][v] = FMA(value, key[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < registers; v++) {
            STORE(scores + r * block_most + first_group * group_width + v * LANES, sum[r][v]);
        }
    }
}

// Turns the scores of `count` positions into weights e^(score - maximum), and gives by what the row's earlier values
// and sum are to be multiplied.
INLINE float weigh(float *scores, int64_t groups, int64_t count, float scale, const block_view *view, float *maximum,
                   float *sum) {
    floats largest = splat(-INFINITY);
    for (int64_t i = 0; i < groups * group_width; i += LANES) {
        floats score = LOAD(scores + i) * splat(scale);
        if (view->key_scales[0]) score *= LOAD(view->key_scales[i / group_width] + i % group_width);
        STORE(scores + i, score);
    }
    for (int64_t i = count; i < groups * group_width; i++) scores[i] = -INFINITY;
    for (int64_t i = 0; i < groups * group_width; i += LANES) largest = larger(LOAD(scores + i), largest);
    float most = largest_of(largest);
    most = most > *maximum ? most : *maximum;
    floats total = {};
    for (int64_t i = 0; i < groups * group_width; i += LANES) {
        floats weight = exponential(LOAD(scores + i) - splat(most));
        total += weight;
        if (view->value_scales[0]) weight *= LOAD(view->value_scales[i / group_width] + i % group_width);
        STORE(scores + i, weight);
    }
    // Before the first block there is nothing to multiply.
    float before = *maximum == -INFINITY ? 0 : (*maximum == most ? 1 : exponential(splat(*maximum - most))[0]);
    *sum = *sum * before + sum_of(total);
    *maximum = most;
    return before;
}

// values[r] = values[r] * before[r] + sum over positions from ..< to of the block of weight * value, for `registers`
// registers from column `column` on.
INLINE void value_tile(const int rows, const int registers, const int format, const block_view *view, int64_t from,
                       int64_t to, const float *weights, const float *before, int64_t width, int64_t column,
                       float *values) {
    enum { most = score_groups * panel_registers };
    floats sum[score_rows][most];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < registers; v++) {
            sum[r][v] = LOAD(values + r * width + column + v * LANES) * splat(before[r]);
        }
    }
    for (int64_t p = from, group_end; p < to; p = group_end) {
        const uint8_t *group = view->values[p / group_width];
        group_end = p / group_width * group_width + group_width;
        const float *end = weights + (to < group_end ? to : group_end);
        int64_t place = p % group_width * width + column;
        KEEP_LOOP for (const float *w = weights + p; w < end; w++, place += width) {
            floats value[most];
            UNROLL for (int v = 0; v < registers; v++) value[v] = element_load(format, group, place + v * LANES);
            UNROLL for (int r = 0; r < rows; r++) {
                floats weight = splat(w[r * block_most]);
                UNROLL for (int v = 0; v < registers; v++) sum[r][v] = FMA(weight, value[v], sum[r][v]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < registers; v++) STORE(values + r * width + column + v * LANES, sum[r][v]);
    }
}

INLINE void value_rows(const int rows, const int format, const block_view *view, int64_t from, int64_t to,
                       const float *weights, const float *before, int64_t width, float *values) {
    int64_t column = 0, step = score_groups * group_width;
    for (; column + step <= width; column += step) {
        value_tile(rows, score_groups * panel_registers, format, view, from, to, weights, before, width, column,
                   values);
    }
    for (; column < width; column += group_width) {
        value_tile(rows, panel_registers, format, view, from, to, weights, before, width, column, values);
    }
}

// Some rows against a block, of which row r sees the first counts[r] positions; counts rise.
INLINE void block_rows(const int rows, const int format, const block_view *view, const int64_t *counts, float scale,
                       const float *q, int64_t width, float *maximum, float *sum, float *values) {
    float scores[score_rows * block_most] __attribute__((aligned(64))), before[score_rows];
    const float one = 1;
    int groups = (int)((counts[rows - 1] + group_width - 1) / group_width), g = 0;
    for (; g + score_groups <= groups; g += score_groups) {
        score_tile(rows, score_groups, format, view, g, q, width, scores);
    }
    for (; g < groups; g++) score_tile(rows, 1, format, view, g, q, width, scores);
    for (int r = 0; r < rows; r++) {
        int64_t own = (counts[r] + group_width - 1) / group_width;
        before[r] = weigh(scores + r * block_most, own, counts[r], scale, view, maximum + r, sum + r);
    }
    // What all see, then what only the later ones see: never a value past a row's own position, which may be anything.
    value_rows(rows, format, view, 0, counts[0], scores, before, width, values);
    for (int r = 1; r < rows; r++) {
        if (counts[r] == counts[0]) continue;
        value_rows(1, format, view, counts[0], counts[r], scores + r * block_most, &one, width, values + r * width);
    }
}

#define BLOCK_CASE(ROWS, FORMAT)                                                                                    \
    case ROWS:                                                                                                      \
        block_rows(ROWS <= score_rows ? ROWS : score_rows, FORMAT, view, counts, scale, q, width, maximum, sum,     \
                   values);                                                                                         \
        return;
#define BLOCK_FUNCTION(NAME, FORMAT)                                                                                \
    static void NAME(int64_t rows, const block_view *view, const int64_t *counts, float scale, const float *q,      \
                     int64_t width, float *maximum, float *sum, float *values) {                                    \
        switch (rows) {                                                                                             \
            BLOCK_CASE(1, FORMAT)                                                                                   \
            BLOCK_CASE(2, FORMAT)                                                                                   \
            BLOCK_CASE(3, FORMAT)                                                                                   \
            BLOCK_CASE(4, FORMAT)                                                                                   \
            BLOCK_CASE(5, FORMAT)                                                                                   \
            BLOCK_CASE(6, FORMAT)                                                                                   \
        }                                                                                                           \
    }

BLOCK_FUNCTION(f32_block, LK_CACHE_F32)
BLOCK_FUNCTION(bf16_block, LK_CACHE_BF16)
BLOCK_FUNCTION(int8_block, LK_CACHE_INT8)

typedef void (*block_function)(int64_t rows, const block_view *view, const int64_t *counts, float scale,
                               const float *q, int64_t width, float *maximum, float *sum, float *values);

// The queries of a tile's rows side by side: [width][query_step].
static void gather_queries(float *out, const float *const *q, int64_t rows, int64_t width) {
    for (int64_t d = 0; d < width; d++) {
        for (int64_t r = 0; r < rows; r++) out[d * query_step + r] = q[r][d];
    }
}

// The groups from `start` on that hold positions up to `end`.
static block_view view_block(const lk_attention *a, const page_plan *plan, int32_t kv_head, int64_t start,
                             int64_t end) {
    const lk_cache_layout *layout = &a->layout;
    block_view view = {0};
    for (int64_t p = start, g = 0; p < end; p += group_width, g++) {
        int64_t in_page = p % layout->page_positions;
        const uint8_t *head = a->pages[p / layout->page_positions];
        head += (size_t)kv_head * plan->head_bytes;
        size_t place = (size_t)(in_page * layout->head_width) * plan->element;
        view.keys[g] = head + plan->keys_at + place;
        view.values[g] = head + plan->values_at + place;
        if (layout->format != LK_CACHE_INT8) continue;
        view.key_scales[g] = (const float *)head + in_page;
        view.value_scales[g] = (const float *)(head + plan->value_scales_at) + in_page;
    }
    return view;
}

// The same block with its `groups` groups as Float32 in `room`: worth it for several tiles.
static void widen_block(block_view *view, int format, int64_t groups, int64_t width, float *room) {
    for (int64_t g = 0; g < groups; g++) {
        float *keys = room + 2 * g * group_width * width, *values = keys + group_width * width;
        for (int64_t i = 0; i < group_width * width; i += LANES) {
            STORE(keys + i, element_load(format, view->keys[g], i));
            STORE(values + i, element_load(format, view->values[g], i));
        }
        view->keys[g] = (const uint8_t *)keys;
        view->values[g] = (const uint8_t *)values;
    }
}

static void segment(const lk_attention *a, int32_t kv_head, int64_t first_row, int64_t rows, int64_t segment,
                    segment_state *state) {
    int64_t width = a->layout.head_width, group = a->heads / a->layout.kv_heads;
    int64_t block = width <= 128 ? block_most : block_most / 2;
    int64_t start = segment * segment_positions, end = start + segment_positions;
    page_plan plan = plan_page(&a->layout);
    const float *q[chunk_rows];
    int64_t positions[chunk_rows];
    for (int64_t r = 0; r < rows; r++) {
        int64_t t = (first_row + r) / group;
        positions[r] = a->first_position + t;
        q[r] = a->q + t * a->q_stride + (kv_head * group + (first_row + r) % group) * width;
        state->maximum[r] = -INFINITY;
        state->sum[r] = 0;
    }
    memset(state->values, 0, (size_t)(rows * width) * 4);
    if (positions[rows - 1] + 1 < end) end = positions[rows - 1] + 1;
    block_function plain = a->layout.format == LK_CACHE_F32    ? f32_block
                           : a->layout.format == LK_CACHE_BF16 ? bf16_block
                                                               : int8_block;
    float room[2 * block_most * 128] __attribute__((aligned(64)));
    // Tiles are fixed; of one whose first rows do not see a block the others run.
    float queries[chunk_rows / score_rows * query_step * max_head_width] __attribute__((aligned(64)));
    int64_t tile_floats = query_step * width;
    for (int64_t r = 0; r < rows; r += score_rows) {
        int64_t tile = rows - r < score_rows ? rows - r : score_rows;
        gather_queries(queries + r / score_rows * tile_floats, q + r, tile, width);
    }
    for (int64_t b = start; b < end; b += block) {
        int64_t block_end = b + block < end ? b + block : end;
        block_view view = view_block(a, &plan, kv_head, b, block_end);
        block_function run = plain;
        int64_t r = 0;
        while (r < rows && positions[r] < b) r++;
        if (a->layout.format != LK_CACHE_F32 && rows - r > 2 * score_rows) {
            widen_block(&view, a->layout.format, (block_end - b + group_width - 1) / group_width, width, room);
            run = f32_block;
        }
        while (r < rows) {
            int64_t tile_end = r / score_rows * score_rows + score_rows, counts[score_rows];
            int64_t tile = (tile_end < rows ? tile_end : rows) - r;
            for (int64_t i = 0; i < tile; i++) {
                int64_t seen = positions[r + i] + 1 - b;
                counts[i] = seen < block ? seen : block;
            }
            const float *own = queries + r / score_rows * tile_floats + r % score_rows;
            run(tile, &view, counts, a->scale, own, width, state->maximum + r, state->sum + r,
                state->values + r * width);
            r += tile;
        }
    }
}
