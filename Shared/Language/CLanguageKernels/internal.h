#pragma once

// What the files of this target share: the layouts, and the table of functions that a variant fills.

#include "language_kernels.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    // Outputs of a packed matrix go in panels of 16: one AVX-512 register.
    panel_width = 16,
    // Products in Float32 are added up over so many inputs at a time, so that errors grow little with the width.
    float_run = 64,
    // Positions of a cache page go in groups of 16 for the same reason.
    group_width = 16,
    // Softmax of attention is joined over segments of so many positions, counted from the sequence's start. This is
    // what makes a long context divisible among threads with bits that do not depend on how many there are.
    segment_positions = 512,
    // Rows (position and query head) that attention takes through keys and values together.
    chunk_rows = 48,
    max_head_width = 256,
};

// MARK: - Packed matrices
//
// A panel holds 16 outputs: for F32 and BF16 only the weights, otherwise scales, minimums, weights, each part aligned
// to 64 bytes.
//
//   F32    [inputs][16] floats
//   BF16   [inputs / 2][16][2]: neighbours along the inputs side by side, as VDPBF16PS takes them
//   8 bit  [inputs / 4][16][4] bytes: what VPDPBUSD adds up into 16 sums. Unsigned: `zero` is added
//   4 bit  for each block of 32 inputs [4][16][4] bytes; the low half of byte (i, n, j) is input 4 i + j of the block,
//          the high half input 16 + 4 i + j
//   scales [blocks][16], minimums [blocks][16], in half precision or Float32
//
// weight = scale * (stored - zero) + minimum

enum { scales_none = 0, scales_f16 = 1, scales_f32 = 2 };

struct lk_matrix {
    int32_t format;
    int32_t bits;      // of a weight: 32, 16, 8, 4
    int32_t block;     // inputs per scale: 16 or 32
    int32_t zero;      // 0, 8 or 128
    int32_t scales;    // scales_...
    int32_t minimums;  // whether there are any
    int64_t outputs, inputs, panels;
    size_t scales_at, minimums_at, weights_at, panel_bytes;
    uint8_t *data;
};

// 32 neighbouring weights of a source in blocks: scale[i / 16] * q[i] + minimum.
typedef struct {
    float scale[2], minimum;
    uint16_t half_scale, half_minimum;
    int16_t q[32];
} block32;

int lk_has_minimums(int32_t source);
void lk_read_block32(int32_t source, const uint8_t *row, int64_t block, block32 *out);

// MARK: - Inputs

enum { input_float = 0, input_int8 = 1, input_bf16 = 2, input_block = 32 };

// int8: of each row, the Float32 scale of each block of 32, `sum` the Float32 sum of a block's values (scale * sum of
// int8), `negative` minus the sum of a block's int8, `negative16` the same for each 16, then the int8.
struct lk_input {
    int32_t kind;
    int64_t rows, inputs, stride;
    const float *x;
    size_t sum_at, negative_at, negative16_at, quants_at, row_bytes;
    uint8_t *data;
    size_t capacity;
};

INLINE const uint8_t *input_row(const lk_input *input, int64_t row) {
    return input->data + (size_t)row * input->row_bytes;
}

// MARK: - Cache pages
//
// For each head: scales of keys, scales of values (int8 only: [positions] floats each), keys as
// [positions / 16][width][16], values as [positions][width].

typedef struct {
    size_t element, value_scales_at, keys_at, values_at, head_bytes;
} page_plan;

INLINE page_plan plan_page(const lk_cache_layout *layout) {
    page_plan plan;
    size_t p = (size_t)layout->page_positions, w = (size_t)layout->head_width;
    plan.element = layout->format == LK_CACHE_F32 ? 4 : layout->format == LK_CACHE_BF16 ? 2 : 1;
    size_t scales = layout->format == LK_CACHE_INT8 ? p * 4 : 0;
    plan.value_scales_at = scales;
    plan.keys_at = 2 * scales;
    plan.values_at = plan.keys_at + p * w * plan.element;
    plan.head_bytes = plan.values_at + p * w * plan.element;
    return plan;
}

// Of one chunk of rows and one segment of positions: maximum of the scores, sum of e^(score - maximum), and the values
// summed with these weights. Row r is query head kv_head * group + r % group at position r / group.
typedef struct {
    float maximum[chunk_rows], sum[chunk_rows];
    float values[chunk_rows * max_head_width] __attribute__((aligned(64)));  // [rows, width]
} segment_state;

// MARK: - Variants

typedef struct {
    const char *name;
    int (*runs)(void);
    // Whether LK_BF16 takes activations in bfloat16.
    int bf16_inputs;
    void (*prepare)(const lk_input *input, int64_t first, int64_t last);
    // As lk_multiply, but `y` is where the result of first_row and first goes.
    void (*multiply)(const lk_matrix *matrix, const lk_input *input, int64_t first_row, int64_t last_row, int64_t first,
                     int64_t last, float *y, int64_t y_stride, const float *bias, int32_t accumulate);
    void (*rms_norm)(float *out, int64_t out_stride, const float *x, int64_t x_stride, const float *weight,
                     int64_t rows, int64_t width, float epsilon);
    void (*rotary)(float *x, int64_t stride, const float *cosines, const float *sines, const int32_t *positions,
                   int64_t rows, int64_t heads, int64_t width);
    void (*silu_multiply)(float *out, const float *gate, const float *up, int64_t count);
    void (*add_scaled)(float *out, const float *x, float factor, int64_t count);
    // State of rows `row ..< row + rows` after the positions of one segment; rows that see none of it are left alone.
    void (*segment)(const lk_attention *attention, int32_t kv_head, int64_t row, int64_t rows, int64_t segment,
                    segment_state *state);
    void (*cross_attention)(float *out, int64_t out_stride, const float *q, int64_t q_stride, const float *k,
                            const float *v, int64_t count, int64_t rows, int64_t heads, int64_t head_width,
                            float scale);
    // Largest value that is no NaN, minus infinity if there is none.
    float (*maximum)(const float *x, int64_t count);
    // Sum of e^(x - shift); over x if out is not NULL the exponentials are written there.
    float (*exponentials)(float *out, const float *x, float shift, int64_t count);
    // First index from `first` on whose value is at least `floor`; count if there is none.
    int64_t (*find_at_least)(const float *x, int64_t first, int64_t count, float floor);
} lk_variant;

// The table of a file that defines each function under its own name.
#define LK_VARIANT(NAME, RUNS, BF16_INPUTS, PREPARE, MULTIPLY)                                                      \
    {                                                                                                               \
        .name = NAME, .runs = RUNS, .bf16_inputs = BF16_INPUTS, .prepare = PREPARE, .multiply = MULTIPLY,           \
        .rms_norm = rms_norm, .rotary = rotary, .silu_multiply = silu_multiply, .add_scaled = add_scaled,           \
        .segment = segment, .cross_attention = cross_attention, .maximum = maximum, .exponentials = exponentials,   \
        .find_at_least = find_at_least                                                                              \
    }

extern const lk_variant lk_reference;
#if defined(__x86_64__)
extern const lk_variant lk_avx2, lk_avxvnni, lk_avx512, lk_avx512bf16;
#endif

const lk_variant *lk_variant_in_use(void);

// The variant that the calling thread was told to use, or NULL; and telling it.
const lk_variant *lk_selected_variant(void);
void lk_use_variant(const lk_variant *variant);

// MARK: - Numbers

// Rotates the pair (a, b) by an angle.
INLINE void rotate(float *a, float *b, float cosine, float sine) {
    float first = *a, second = *b;
    *a = first * cosine - second * sine;
    *b = second * cosine + first * sine;
}

INLINE float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

INLINE uint32_t to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

// To the nearest bfloat16, ties to even; NaN stays NaN.
INLINE uint16_t bf16_from(float x) {
    uint32_t bits = to_bits(x);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

INLINE float from_bf16(uint16_t x) { return from_bits((uint32_t)x << 16); }

// To the nearest half, ties to even, for 0 <= x <= 65504.
INLINE uint16_t f16_from(float x) {
    // Below the smallest normal half: steps of 2^-24. Adding 1.5 * 2^23 rounds to the nearest whole number of them.
    if (x < 0x1p-14f) return (uint16_t)(to_bits(x * 0x1p24f + 12582912.0f) & 0xFFFFu);
    uint32_t bits = to_bits(x);
    return (uint16_t)((bits + 0xFFFu + (bits >> 13 & 1u) - (112u << 23)) >> 13);
}

// IEEE half precision: an exact multiplication moves the exponent's bias, subnormal halves included.
INLINE float from_f16(uint16_t h) {
    uint32_t low = h & 0x7FFFu;
    float value = from_bits(low << 13) * 0x1p112f;
    uint32_t bits = low >= 0x7C00u ? (low << 13 | 0x7F800000u) : to_bits(value);
    return from_bits(bits | (uint32_t)(h & 0x8000u) << 16);
}

INLINE size_t rounded_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
