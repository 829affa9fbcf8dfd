#include "internal.h"

#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

static int64_t blocks_of(const lk_matrix *m) { return m->inputs / m->block; }

static int describe(lk_matrix *m) {
    static const struct {
        int8_t bits, block;
        uint8_t zero;
        int8_t scales, minimums;
    } plans[] = {
        [LK_F32] = {32, 1, 0, scales_none, 0},   [LK_BF16] = {16, 1, 0, scales_none, 0},
        [LK_INT8] = {8, 32, 128, scales_f16, 0}, [LK_Q8_0] = {8, 32, 128, scales_f16, 0},
        [LK_Q4_0] = {4, 32, 8, scales_f16, 0},   [LK_Q4_1] = {4, 32, 0, scales_f16, 1},
        [LK_Q4G] = {4, 32, 0, scales_f32, 1},    [LK_Q8G] = {8, 32, 0, scales_f32, 1},
        [LK_Q8S16] = {8, 16, 128, scales_f32, 0},
    };
    if (m->format < 0 || m->format >= (int32_t)(sizeof plans / sizeof plans[0])) return LK_ERROR_UNSUPPORTED;
    m->bits = plans[m->format].bits;
    m->block = plans[m->format].block;
    m->zero = plans[m->format].zero;
    m->scales = plans[m->format].scales;
    m->minimums = plans[m->format].minimums;
    return LK_OK;
}

lk_matrix *lk_matrix_create(int32_t format, int64_t outputs, int64_t inputs, int32_t *status) {
    int32_t ignored;
    if (!status) status = &ignored;
    lk_matrix plan = {.format = format, .outputs = outputs, .inputs = inputs};
    *status = describe(&plan);
    if (*status != LK_OK) return NULL;
    int64_t most = INT64_C(1) << 20;
    int fits = outputs >= 1 && inputs >= 1 && outputs <= most && inputs <= most;
    if (!fits || (plan.scales != scales_none && inputs % 32 != 0)) {
        *status = LK_ERROR_SHAPE;
        return NULL;
    }
    plan.panels = (outputs + panel_width - 1) / panel_width;
    size_t blocks = (size_t)blocks_of(&plan), side = 0;
    if (plan.scales != scales_none) side = rounded_up(blocks * panel_width * (plan.scales == scales_f16 ? 2 : 4), 64);
    plan.minimums_at = side;
    plan.weights_at = side * (plan.minimums ? 2 : 1);
    // Neighbours along the inputs of BF16 come in pairs.
    size_t k = plan.bits == 16 ? rounded_up((size_t)inputs, 2) : (size_t)inputs;
    plan.panel_bytes = plan.weights_at + rounded_up(k * panel_width * (size_t)plan.bits / 8, 64);
    size_t bytes = plan.panel_bytes * (size_t)plan.panels;
    size_t alignment = bytes >= (4u << 20) ? 2u << 20 : 64;
    lk_matrix *matrix = malloc(sizeof *matrix);
    plan.data = matrix ? aligned_alloc(alignment, rounded_up(bytes, alignment)) : NULL;
    if (!plan.data) {
        free(matrix);
        *status = LK_ERROR_MEMORY;
        return NULL;
    }
#if defined(__linux__)
    // Only a hint: fewer misses of the address translation where weights stream.
    if (alignment > 64) madvise(plan.data, rounded_up(bytes, alignment), MADV_HUGEPAGE);
#endif
    memset(plan.data, 0, bytes);
    *matrix = plan;
    return matrix;
}

void lk_matrix_destroy(lk_matrix *matrix) {
    if (!matrix) return;
    free(matrix->data);
    free(matrix);
}

int64_t lk_matrix_outputs(const lk_matrix *matrix) { return matrix->outputs; }
int64_t lk_matrix_inputs(const lk_matrix *matrix) { return matrix->inputs; }
int32_t lk_matrix_format(const lk_matrix *matrix) { return matrix->format; }
size_t lk_matrix_bytes(const lk_matrix *matrix) { return matrix->panel_bytes * (size_t)matrix->panels; }

// MARK: - Places in a panel

static uint8_t *panel_of(const lk_matrix *m, int64_t row) {
    return m->data + (size_t)(row / panel_width) * m->panel_bytes;
}

static void set_number(const lk_matrix *m, size_t at, int64_t row, int64_t block, float value, uint16_t half) {
    uint8_t *side = panel_of(m, row) + at;
    int64_t place = block * panel_width + row % panel_width;
    if (m->scales == scales_f16) {
        memcpy(side + 2 * place, &half, 2);
    } else {
        memcpy(side + 4 * place, &value, 4);
    }
}

static float number_at(const lk_matrix *m, size_t at, int64_t row, int64_t block) {
    const uint8_t *side = panel_of(m, row) + at;
    int64_t place = block * panel_width + row % panel_width;
    uint16_t half;
    float value;
    if (m->scales == scales_f16) {
        memcpy(&half, side + 2 * place, 2);
        return from_f16(half);
    }
    memcpy(&value, side + 4 * place, 4);
    return value;
}

static uint8_t *byte_of(const lk_matrix *m, int64_t row, int64_t k) {
    uint8_t *weights = panel_of(m, row) + m->weights_at;
    int64_t lane = row % panel_width;
    if (m->bits == 8) return weights + (k / 4 * panel_width + lane) * 4 + k % 4;
    return weights + ((k / 32 * 4 + k % 16 / 4) * panel_width + lane) * 4 + k % 4;
}

// Stores `count` whole numbers, a multiple of 16, from input k on: a multiple of 32 for 4 bits.
static void set_weights(const lk_matrix *m, int64_t row, int64_t k, const int16_t *q, int64_t count) {
    uint8_t *out = byte_of(m, row, k);
    const int zero = m->zero;
    if (m->bits == 8) {
        for (int64_t i = 0; i < count; i += 4, out += 4 * panel_width) {
            for (int j = 0; j < 4; j++) out[j] = (uint8_t)(q[i + j] + zero);
        }
        return;
    }
    for (int64_t i = 0; i < count; i += 32) {
        for (int64_t g = i; g < i + 16; g += 4, out += 4 * panel_width) {
            for (int j = 0; j < 4; j++) out[j] = (uint8_t)((q[g + j] + zero) | (q[g + 16 + j] + zero) << 4);
        }
    }
}

static int weight_at(const lk_matrix *m, int64_t row, int64_t k) {
    int stored = *byte_of(m, row, k);
    if (m->bits == 4) stored = k % 32 < 16 ? stored & 15 : stored >> 4;
    return stored - m->zero;
}

// MARK: - Rows

// Symmetric int8: the largest magnitude of a block becomes 127 steps. What is not finite makes the whole block NaN.
static void quantize_row(const lk_matrix *m, int64_t row, const float *x) {
    for (int64_t b = 0; b < blocks_of(m); b++) {
        const float *values = x + b * m->block;
        uint32_t largest = 0;
        for (int i = 0; i < m->block; i++) {
            uint32_t bits = to_bits(values[i]) & 0x7FFFFFFFu;
            largest = bits > largest ? bits : largest;
        }
        int finite = largest < 0x7F800000u;
        float step = finite ? from_bits(largest) / 127.0f : 0;
        uint16_t half = finite ? f16_from(step < 65504.0f ? step : 65504.0f) : 0x7E00;
        // The step as it is kept, so that its rounding costs nothing.
        float inverse = finite && half != 0 ? 1 / from_f16(half) : 0;
        int16_t q[32] = {0};
        for (int i = 0; i < m->block && inverse > 0; i++) {
            float scaled = values[i] * inverse;
            scaled = scaled > 127 ? 127 : (scaled < -127 ? -127 : scaled);
            // Adding 1.5 * 2^23 rounds to the nearest whole number.
            q[i] = (int16_t)(scaled + 12582912.0f - 12582912.0f);
        }
        set_number(m, m->scales_at, row, b, 0, half);
        set_weights(m, row, b * m->block, q, m->block);
    }
}

static void store_floats(const lk_matrix *m, int64_t row, const float *x) {
    uint8_t *panel = panel_of(m, row);
    int64_t lane = row % panel_width;
    if (m->format == LK_F32) {
        for (int64_t k = 0; k < m->inputs; k++) memcpy(panel + (k * panel_width + lane) * 4, x + k, 4);
    } else if (m->format == LK_BF16) {
        for (int64_t k = 0; k < m->inputs; k++) {
            uint16_t value = bf16_from(x[k]);
            memcpy(panel + ((k / 2 * panel_width + lane) * 2 + k % 2) * 2, &value, 2);
        }
    } else {
        quantize_row(m, row, x);
    }
}

// The formats of one family take each other's rows where the numbers stay the same.
static int keeps(int32_t format, int32_t source) {
    return format == lk_lossless_format(source) && source != LK_SOURCE_F32 && source != LK_SOURCE_F16 &&
           source != LK_SOURCE_BF16;
}

static void store_blocks(const lk_matrix *m, int64_t row, int32_t source, const uint8_t *data) {
    int64_t per_block = m->block < 32 ? 32 / m->block : 1;
    for (int64_t b = 0; b < m->inputs / 32; b++) {
        block32 block;
        lk_read_block32(source, data, b, &block);
        for (int64_t i = 0; i < per_block; i++) {
            set_number(m, m->scales_at, row, b * per_block + i, block.scale[i], block.half_scale);
        }
        if (m->minimums) set_number(m, m->minimums_at, row, b, block.minimum, block.half_minimum);
        set_weights(m, row, b * 32, block.q, 32);
    }
}

int32_t lk_matrix_set_rows(lk_matrix *matrix, int64_t first, int64_t count, int32_t source, const void *rows,
                           size_t row_bytes) {
    if (lk_lossless_format(source) < 0) return LK_ERROR_UNSUPPORTED;
    if (first < 0 || count < 0 || first > matrix->outputs || count > matrix->outputs - first) return LK_ERROR_SHAPE;
    if (lk_source_row_bytes(source, matrix->inputs) == 0) return LK_ERROR_SHAPE;
    const uint8_t *data = rows;
    if (keeps(matrix->format, source)) {
        for (int64_t r = 0; r < count; r++) store_blocks(matrix, first + r, source, data + (size_t)r * row_bytes);
        return LK_OK;
    }
    if (matrix->format != LK_F32 && matrix->format != LK_BF16 && matrix->format != LK_INT8) {
        return LK_ERROR_UNSUPPORTED;
    }
    float *row = malloc((size_t)matrix->inputs * 4);
    if (!row) return LK_ERROR_MEMORY;
    for (int64_t r = 0; r < count; r++) {
        lk_dequantize(source, data + (size_t)r * row_bytes, matrix->inputs, row);
        store_floats(matrix, first + r, row);
    }
    free(row);
    return LK_OK;
}

int32_t lk_matrix_get_row(const lk_matrix *matrix, int64_t row, float *out) {
    if (row < 0 || row >= matrix->outputs) return LK_ERROR_SHAPE;
    const uint8_t *panel = panel_of(matrix, row);
    int64_t lane = row % panel_width;
    if (matrix->format == LK_F32) {
        for (int64_t k = 0; k < matrix->inputs; k++) memcpy(out + k, panel + (k * panel_width + lane) * 4, 4);
        return LK_OK;
    }
    if (matrix->format == LK_BF16) {
        for (int64_t k = 0; k < matrix->inputs; k++) {
            uint16_t value;
            memcpy(&value, panel + ((k / 2 * panel_width + lane) * 2 + k % 2) * 2, 2);
            out[k] = from_bf16(value);
        }
        return LK_OK;
    }
    for (int64_t b = 0; b < blocks_of(matrix); b++) {
        float scale = number_at(matrix, matrix->scales_at, row, b);
        float minimum = matrix->minimums ? number_at(matrix, matrix->minimums_at, row, b) : 0;
        for (int64_t k = b * matrix->block; k < (b + 1) * matrix->block; k++) {
#pragma clang fp contract(off)
            float product = scale * (float)weight_at(matrix, row, k);
            out[k] = matrix->minimums ? product + minimum : product;
        }
    }
    return LK_OK;
}
