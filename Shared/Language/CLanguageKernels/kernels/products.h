// Products, included by each variant's file after lanes.h. It has defined
//
//   tile_rows, tile_registers        most rows and registers of outputs of a tile; float_rows, integer_rows: how many
//                                    rows are taken; tile_panels: panels side by side
//   dot4(sum, stored, x, zero)       sum + the products of four neighbours
//   STARTS_SHIFTED(zero)             whether it takes stored bytes as they are, so that sums have to start at minus the
//                                    zero times the activations
//
// A stripe is 64 outputs: 4 panels. A tile's sums are kept in memory, [rows][64] floats, between pieces of the inputs,
// and weights of less than a byte, or of bfloat16, are widened piece by piece where there are rows enough to pay for
// it.
// Neither alters a bit of a sum: each goes through its inputs in order.

enum { stripe_panels = 4, stripe = stripe_panels * panel_width, sum_rows = 96 };

// Weights of up to 4 panels as the tile's loops read them.
typedef struct {
    const lk_matrix *matrix;
    // Weights of the first panel at the piece's first input, and bytes from panel to panel.
    const uint8_t *weights;
    size_t weights_step;
    // The first panel.
    const uint8_t *panel;
    // Inputs of this piece.
    int64_t from, to;
} piece_of_weights;

// With fewer rows than a tile holds weights are read once, at the memory's pace. A panel is too short for the processor
// to see that it streams, so the same place of the next stripe is asked for; past the end of the matrix that does
// nothing.
enum { few_rows = integer_rows - 1 };

INLINE void fetch_ahead(const uint8_t *at, size_t panel_bytes) {
    __builtin_prefetch(at + tile_panels * panel_bytes, 0, 2);
}

// MARK: - Float32 sums

// Adds the products of up to float_run inputs, k ..< end, to the sums.
INLINE void float_run_tile(const int rows, const int registers, const int bits, size_t step, const uint8_t *at,
                           const float *x, int64_t x_stride, int64_t k, int64_t end, float *sums) {
    floats sum[tile_rows][tile_registers];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < registers; v++) sum[r][v] = (floats){};
    }
    KEEP_LOOP for (; k + (bits == 16) < end; k += 32 / bits, at += panel_width * 4) {
        ints stored[tile_registers];
        UNROLL for (int v = 0; v < registers; v++) {
            stored[v] = *(const ints_at *)(at + v / panel_registers * step + v % panel_registers * LANES * 4);
            if (rows <= few_rows) fetch_ahead(at + v / panel_registers * step, step);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            floats value = splat(x[r * x_stride + k]);
            UNROLL for (int v = 0; v < registers; v++) {
                sum[r][v] = FMA(value, (floats)(bits == 16 ? stored[v] << 16 : stored[v]), sum[r][v]);
            }
        }
        if (bits == 32) continue;
        UNROLL for (int r = 0; r < rows; r++) {
            floats value = splat(x[r * x_stride + k + 1]);
            UNROLL for (int v = 0; v < registers; v++) {
                sum[r][v] = FMA(value, (floats)(stored[v] & (int32_t)0xFFFF0000), sum[r][v]);
            }
        }
    }
    // An odd input that is left over.
    if (bits == 16 && k < end) {
        UNROLL for (int v = 0; v < registers; v++) {
            ints stored = *(const ints_at *)(at + v / panel_registers * step + v % panel_registers * LANES * 4);
            UNROLL for (int r = 0; r < rows; r++) {
                sum[r][v] = FMA(splat(x[r * x_stride + k]), (floats)(stored << 16), sum[r][v]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < registers; v++) {
            float *target = sums + r * stripe + v * LANES;
            STORE(target, LOAD(target) + sum[r][v]);
        }
    }
}

INLINE void float_tile(const int rows, const int registers, const int bits, const piece_of_weights *w,
                       const float *x, int64_t x_stride, float *sums) {
    for (int64_t k = w->from; k < w->to; k += float_run) {
        const uint8_t *at = w->weights + (k - w->from) * panel_width * bits / 8;
        int64_t end = k + float_run < w->to ? k + float_run : w->to;
        float_run_tile(rows, registers, bits, w->weights_step, at, x, x_stride, k, end, sums);
    }
}

// MARK: - int8 products

// Scales or minimums of a block, which stand at `side` in the first of several panels.
INLINE floats side_of(int halves, const uint8_t *side, size_t panel_bytes, int64_t block, int v) {
    int64_t place = block * panel_width + v % panel_registers * LANES;
    side += (size_t)(v / panel_registers) * panel_bytes;
    return halves ? from_halves(side + 2 * place) : LOAD(side + 4 * place);
}

INLINE void integer_tile(const int rows, const int registers, const int bits, const int block, const int zero,
                         const piece_of_weights *w, const uint8_t *x, const lk_input *input, float *sums) {
    const int shift = zero == 128 ? 7 : 3, block_bytes = block * panel_width * bits / 8;
    const int halves = w->matrix->scales == scales_f16, has_minimums = w->matrix->minimums;
    const size_t panel_bytes = w->matrix->panel_bytes, step = w->weights_step, x_step = input->row_bytes;
    const uint8_t *scales = w->panel + w->matrix->scales_at, *minimums = w->panel + w->matrix->minimums_at;
    const uint8_t *negative = x + (block == 16 ? input->negative16_at : input->negative_at);
    const uint8_t *input_sums = x + input->sum_at, *quants = x + input->quants_at, *at = w->weights;
    const int64_t last = w->to / block;
    for (int64_t b = w->from / block; b < last; b++) {
        ints dot[tile_rows][tile_registers];
        UNROLL for (int r = 0; r < rows; r++) {
            ints start = {};
            if (STARTS_SHIFTED(zero)) {
                start = ((ints){} + *(const int32_t *)(negative + (size_t)r * x_step + (size_t)b * 4)) << shift;
            }
            UNROLL for (int v = 0; v < registers; v++) dot[r][v] = start;
        }
        // 4-bit weights: a register holds those of four inputs and, in the high halves, of four others, 16 later.
        const uint8_t *end = at + block_bytes, *values = quants + b * block;
        KEEP_LOOP for (; at < end; at += 64, values += 4) {
            ints stored[tile_registers];
            UNROLL for (int v = 0; v < registers; v++) {
                stored[v] = *(const ints_at *)(at + v / panel_registers * step + v % panel_registers * LANES * 4);
                if (rows <= few_rows) fetch_ahead(at + v / panel_registers * step, step);
            }
            UNROLL for (int part = 0; part < 8 / bits; part++) {
                ints taken[tile_registers];
                UNROLL for (int v = 0; v < registers; v++) {
                    taken[v] = bits == 8 ? stored[v] : (stored[v] >> (4 * part)) & 0x0F0F0F0F;
                }
                UNROLL for (int r = 0; r < rows; r++) {
                    ints four = (ints){} + *(const int32_t *)(values + (size_t)r * x_step + 16 * part);
                    UNROLL for (int v = 0; v < registers; v++) dot[r][v] = dot4(dot[r][v], taken[v], four, zero);
                }
            }
        }
        const size_t number = (size_t)(block == 16 ? b / 2 : b) * 4;
        floats side[tile_registers];
        UNROLL for (int v = 0; v < registers; v++) {
            side[v] = side_of(halves, scales, panel_bytes, b, v);
            size_t number_bytes = (size_t)b * panel_width * (halves ? 2 : 4);
            if (rows <= few_rows) fetch_ahead(scales + v / panel_registers * panel_bytes + number_bytes, panel_bytes);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            floats factor = splat(*(const float *)(x + (size_t)r * x_step + number));
            UNROLL for (int v = 0; v < registers; v++) {
                float *target = sums + r * stripe + v * LANES;
                floats scaled = __builtin_convertvector(dot[r][v], floats) * factor;
                STORE(target, FMA(scaled, side[v], LOAD(target)));
            }
        }
        if (!has_minimums) continue;
        UNROLL for (int v = 0; v < registers; v++) side[v] = side_of(halves, minimums, panel_bytes, b, v);
        UNROLL for (int r = 0; r < rows; r++) {
            floats factor = splat(*(const float *)(input_sums + (size_t)r * x_step + number));
            UNROLL for (int v = 0; v < registers; v++) {
                float *target = sums + r * stripe + v * LANES;
                STORE(target, FMA(factor, side[v], LOAD(target)));
            }
        }
    }
}

// MARK: - Tiles of every size

// What a tile reads: weights as packed, or as widened.
enum { reads_f32, reads_bf16, reads_4, reads_4_less_8, reads_8, reads_8_of_4, reads_16s, reads_32s };

INLINE void sized_tile(const int rows, const int registers, const int reads, const piece_of_weights *w,
                       const lk_input *input, int64_t row, float *sums) {
    const uint8_t *x = input->data + (size_t)row * input->row_bytes;
    const float *plain = input->x + row * input->stride;
    switch (reads) {
    case reads_f32: float_tile(rows, registers, 32, w, plain, input->stride, sums); break;
    case reads_bf16: float_tile(rows, registers, 16, w, plain, input->stride, sums); break;
    case reads_4: integer_tile(rows, registers, 4, 32, 0, w, x, input, sums); break;
    case reads_4_less_8: integer_tile(rows, registers, 4, 32, 8, w, x, input, sums); break;
    case reads_8: integer_tile(rows, registers, 8, 32, 0, w, x, input, sums); break;
    case reads_8_of_4: integer_tile(rows, registers, 8, 32, 8, w, x, input, sums); break;
    case reads_16s: integer_tile(rows, registers, 8, 16, 128, w, x, input, sums); break;
    case reads_32s: integer_tile(rows, registers, 8, 32, 128, w, x, input, sums); break;
    default: break;
    }
}

#define SIZED(ROWS, MOST, PANELS, TILE, READS)                                                                      \
    case ROWS: TILE(ROWS <= MOST ? ROWS : MOST, PANELS * panel_registers, READS, w, input, row, sums); return;
#define EACH_SIZE(MOST, PANELS, TILE, READS)                                                                        \
    switch (rows) {                                                                                                 \
        SIZED(1, MOST, PANELS, TILE, READS)                                                                         \
        SIZED(2, MOST, PANELS, TILE, READS)                                                                         \
        SIZED(3, MOST, PANELS, TILE, READS)                                                                         \
        SIZED(4, MOST, PANELS, TILE, READS)                                                                         \
        SIZED(5, MOST, PANELS, TILE, READS)                                                                         \
        SIZED(6, MOST, PANELS, TILE, READS)                                                                         \
    }
// What is left of a stripe at the end of a range: whole tiles and single rows.
#define END_OF_RANGE(MOST, PANELS, TILE, READS)                                                                     \
    if (rows == MOST) {                                                                                             \
        TILE(MOST, PANELS * panel_registers, READS, w, input, row, sums);                                           \
        return;                                                                                                     \
    }                                                                                                               \
    for (int64_t r = 0; r < rows; r++) TILE(1, PANELS * panel_registers, READS, w, input, row + r, sums + r * stripe);

// One function for each kind of weights, in which every size of a tile has its own loops: up to MOST rows of as many
// panels as the registers hold (4 or 1); and 2 or 1 panels where they hold 4.
#define TILES(NAME, MOST, TILE, READS)                                                                              \
    static void NAME(const piece_of_weights *w, const lk_input *input, int64_t row, int64_t rows, int64_t panels,   \
                     float *sums) {                                                                                 \
        if (panels == tile_panels) {                                                                                \
            EACH_SIZE(MOST, tile_panels, TILE, READS)                                                               \
        } else if (panels == 2) {                                                                                   \
            END_OF_RANGE(MOST, (tile_panels + 1) / 2, TILE, READS)                                                  \
        } else {                                                                                                    \
            END_OF_RANGE(MOST, 1, TILE, READS)                                                                      \
        }                                                                                                           \
    }

TILES(f32_tiles, float_rows, sized_tile, reads_f32)
TILES(bf16_tiles, float_rows, sized_tile, reads_bf16)
TILES(q4_tiles, integer_rows, sized_tile, reads_4)
TILES(q4_less_8_tiles, integer_rows, sized_tile, reads_4_less_8)
TILES(q8_tiles, integer_rows, sized_tile, reads_8)
TILES(q8_of_4_tiles, integer_rows, sized_tile, reads_8_of_4)
TILES(q8_16s_tiles, integer_rows, sized_tile, reads_16s)
TILES(q8_32s_tiles, integer_rows, sized_tile, reads_32s)

typedef void (*tiles)(const piece_of_weights *w, const lk_input *input, int64_t row, int64_t rows, int64_t panels,
                      float *sums);

// MARK: - Widening

// Two 4-bit weights of a byte become bytes: [blocks][8][16][4].
static void widen_4(uint8_t *out, const uint8_t *in, int64_t inputs) {
    for (int64_t b = 0; b < inputs / 32; b++, in += 256, out += 512) {
        for (int i = 0; i < 256; i += LANES * 4) {
            ints pair = *(const ints_at *)(in + i);
            *(ints_at *)(out + i) = pair & 0x0F0F0F0F;
            *(ints_at *)(out + 256 + i) = (pair >> 4) & 0x0F0F0F0F;
        }
    }
}

static void widen_bf16(uint8_t *out, const uint8_t *in, int64_t inputs) {
    for (int64_t k = 0; k < inputs; k += 2, in += 64, out += 128) {
        for (int i = 0; i < 64; i += LANES * 4) {
            ints pair = *(const ints_at *)(in + i);
            *(ints_at *)(out + i) = pair << 16;
            *(ints_at *)(out + 64 + i) = pair & (int32_t)0xFFFF0000;
        }
    }
}

// MARK: - The product

typedef struct {
    tiles direct, widened;
    void (*widen)(uint8_t *out, const uint8_t *in, int64_t inputs);
    int rows;             // of a tile
    int64_t piece;        // inputs that are taken at once where there are several tiles
    int widened_bytes;    // of a weight
} plan;

static plan plan_for(const lk_matrix *m) {
    switch (m->format) {
    case LK_F32: return (plan){f32_tiles, f32_tiles, 0, float_rows, float_run, 4};
    case LK_BF16: return (plan){bf16_tiles, f32_tiles, widen_bf16, float_rows, float_run, 4};
    case LK_Q4_0: return (plan){q4_less_8_tiles, q8_of_4_tiles, widen_4, integer_rows, 256, 1};
    case LK_Q4_1:
    case LK_Q4G: return (plan){q4_tiles, q8_tiles, widen_4, integer_rows, 256, 1};
    case LK_Q8G: return (plan){q8_tiles, q8_tiles, 0, integer_rows, 256, 1};
    case LK_Q8S16: return (plan){q8_16s_tiles, q8_16s_tiles, 0, integer_rows, 256, 1};
    default: return (plan){q8_32s_tiles, q8_32s_tiles, 0, integer_rows, 256, 1};
    }
}

// Finished sums of one row; `count` of them.
INLINE void write_sums(float *y, const float *sums, int64_t count, const float *bias, int32_t accumulate) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        floats sum = LOAD(sums + i);
        if (bias) sum += LOAD(bias + i);
        if (accumulate) sum = LOAD(y + i) + sum;
        STORE(y + i, sum);
    }
    for (; i < count; i++) {
        float sum = bias ? sums[i] + bias[i] : sums[i];
        y[i] = accumulate ? y[i] + sum : sum;
    }
}

// The product for up to 4 panels, whose first output has its result at `y`.
static void multiply_panels(const plan *p, piece_of_weights *w, int64_t panels, int64_t count, const lk_input *input,
                            int64_t first_row, int64_t last_row, float *y, int64_t y_stride, const float *bias,
                            int32_t accumulate) {
    const lk_matrix *m = w->matrix;
    float sums[sum_rows * stripe] __attribute__((aligned(64)));
    uint8_t wide[32768] __attribute__((aligned(64)));
    int64_t most = sum_rows / p->rows * p->rows;
    for (int64_t row = first_row; row < last_row; row += most) {
        int64_t rows = last_row - row < most ? last_row - row : most;
        int several = rows > p->rows, widens = p->widen && rows > 4 * p->rows;
        for (int64_t r = 0; r < rows; r++) memset(sums + r * stripe, 0, (size_t)panels * panel_width * 4);
        int64_t piece = several ? p->piece : m->inputs;
        for (w->from = 0; w->from < m->inputs; w->from = w->to) {
            w->to = m->inputs - w->from < piece ? m->inputs : w->from + piece;
            const uint8_t *packed = w->panel + m->weights_at + (size_t)(w->from * panel_width * m->bits / 8);
            if (widens) {
                int64_t length = w->to - w->from;
                w->weights = wide;
                w->weights_step = (size_t)(piece * panel_width * p->widened_bytes);
                for (int64_t i = 0; i < panels; i++) {
                    p->widen(wide + (size_t)i * w->weights_step, packed + (size_t)i * m->panel_bytes, length);
                }
            } else {
                w->weights = packed;
                w->weights_step = m->panel_bytes;
            }
            tiles run = widens ? p->widened : p->direct;
            for (int64_t r = 0; r < rows; r += p->rows) {
                run(w, input, row + r, rows - r < p->rows ? rows - r : p->rows, panels, sums + r * stripe);
            }
        }
        for (int64_t r = 0; r < rows; r++) {
            write_sums(y + (row - first_row + r) * y_stride, sums + r * stripe, count, bias, accumulate);
        }
    }
}

static void multiply_by_plan(const plan *p, const lk_matrix *matrix, const lk_input *input, int64_t first_row,
                             int64_t last_row, int64_t first, int64_t last, float *y, int64_t y_stride,
                             const float *bias, int32_t accumulate) {
    piece_of_weights w = {.matrix = matrix};
    int64_t panels;
    for (int64_t n = first; n < last; n += panels * panel_width) {
        panels = (last - n + panel_width - 1) / panel_width;
        panels = panels >= 4 ? 4 : (panels >= 2 ? 2 : 1);
        if (panels > tile_panels) panels = tile_panels;
        int64_t count = last - n < panels * panel_width ? last - n : panels * panel_width;
        w.panel = matrix->data + (size_t)(n / panel_width) * matrix->panel_bytes;
        multiply_panels(p, &w, panels, count, input, first_row, last_row, y + (n - first), y_stride,
                        bias ? bias + n : 0, accumulate);
    }
}

static void multiply(const lk_matrix *matrix, const lk_input *input, int64_t first_row, int64_t last_row,
                     int64_t first, int64_t last, float *y, int64_t y_stride, const float *bias, int32_t accumulate) {
    plan p = plan_for(matrix);
    multiply_by_plan(&p, matrix, input, first_row, last_row, first, last, y, y_stride, bias, accumulate);
}
