#include "internal.h"

#include <stdlib.h>

lk_input *lk_input_create(void) { return calloc(1, sizeof(lk_input)); }

void lk_input_destroy(lk_input *input) {
    if (!input) return;
    free(input->data);
    free(input);
}

int32_t lk_input_kind(const lk_matrix *matrix) {
    if (matrix->format == LK_F32) return input_float;
    if (matrix->format == LK_BF16) return lk_variant_in_use()->bf16_inputs ? input_bf16 : input_float;
    return input_int8;
}

static void plan_rows(lk_input *input) {
    size_t k = (size_t)input->inputs, numbers = k / input_block * 4;
    input->sum_at = numbers;
    input->negative_at = 2 * numbers;
    input->negative16_at = 3 * numbers;
    input->quants_at = input->kind == input_int8 ? rounded_up(5 * numbers, 64) : 0;
    input->row_bytes = 0;
    if (input->kind == input_int8) input->row_bytes = input->quants_at + rounded_up(k, 64);
    if (input->kind == input_bf16) input->row_bytes = rounded_up(k * 2, 64);
    // Rows an even number of pages apart would share few lines of the first-level cache.
    if (input->row_bytes >= 1024 && input->row_bytes % 1024 == 0) input->row_bytes += 64;
}

int32_t lk_input_begin(lk_input *input, int32_t kind, const float *x, int64_t stride, int64_t rows, int64_t inputs) {
    int64_t most = INT64_C(1) << 20;
    if (kind < input_float || kind > input_bf16) return LK_ERROR_UNSUPPORTED;
    if (rows < 0 || rows > most || inputs < 1 || inputs > most || stride < 0) return LK_ERROR_SHAPE;
    if (kind == input_int8 && inputs % input_block != 0) return LK_ERROR_SHAPE;
    input->kind = kind;
    input->x = x;
    input->stride = stride;
    input->rows = rows;
    input->inputs = inputs;
    plan_rows(input);
    size_t bytes = input->row_bytes * (size_t)rows;
    if (bytes <= input->capacity) return LK_OK;
    free(input->data);
    input->capacity = 0;
    input->data = aligned_alloc(64, rounded_up(bytes, 64));
    if (!input->data) {
        input->rows = 0;
        return LK_ERROR_MEMORY;
    }
    input->capacity = bytes;
    return LK_OK;
}

void lk_input_prepare(lk_input *input, int64_t first, int64_t last) {
    if (first < 0) first = 0;
    if (last > input->rows) last = input->rows;
    if (input->kind != input_float && first < last) lk_variant_in_use()->prepare(input, first, last);
}

int32_t lk_prepare_input(lk_input *input, const lk_matrix *matrix, const float *x, int64_t stride, int64_t rows) {
    int32_t status = lk_input_begin(input, lk_input_kind(matrix), x, stride, rows, matrix->inputs);
    if (status == LK_OK) lk_input_prepare(input, 0, rows);
    return status;
}

// MARK: - Products

void lk_split(int64_t outputs, int32_t members, int32_t member, int64_t *first, int64_t *last) {
    int64_t panels = (outputs + panel_width - 1) / panel_width;
    int64_t from = panels * member / members * panel_width, to = panels * (member + 1) / members * panel_width;
    *first = from < outputs ? from : outputs;
    *last = to < outputs ? to : outputs;
}

static int32_t check(const lk_matrix *matrix, const lk_input *input, int64_t first_row, int64_t last_row,
                     int64_t first, int64_t last) {
    if (input->inputs != matrix->inputs || input->kind != lk_input_kind(matrix)) return LK_ERROR_INPUT;
    if (first_row < 0 || last_row > input->rows) return LK_ERROR_SHAPE;
    if (first < 0 || last > matrix->outputs || (first % panel_width != 0 && first < last)) return LK_ERROR_SHAPE;
    if (last % panel_width != 0 && last != matrix->outputs && first < last) return LK_ERROR_SHAPE;
    return LK_OK;
}

int32_t lk_multiply(const lk_matrix *matrix, const lk_input *input, int64_t first_row, int64_t last_row, int64_t first,
                    int64_t last, float *y, int64_t y_stride, const float *bias, int32_t accumulate) {
    int32_t status = check(matrix, input, first_row, last_row, first, last);
    if (status != LK_OK || first_row >= last_row || first >= last) return status;
    float *target = y + first_row * y_stride + first;
    lk_variant_in_use()->multiply(matrix, input, first_row, last_row, first, last, target, y_stride, bias, accumulate);
    return LK_OK;
}

int32_t lk_multiply_gated(const lk_matrix *gate, const lk_matrix *up, const lk_input *input, int64_t first_row,
                          int64_t last_row, int64_t first, int64_t last, float *y, int64_t y_stride) {
    int32_t status = check(gate, input, first_row, last_row, first, last);
    if (status == LK_OK) status = check(up, input, first_row, last_row, first, last);
    if (status != LK_OK || first_row >= last_row || first >= last) return status;
    const lk_variant *variant = lk_variant_in_use();
    // So many outputs of so many rows that both products stay in the first-level cache's reach until they are joined.
    enum { columns = 64, rows = 96 };
    float other[rows * columns] __attribute__((aligned(64)));
    for (int64_t n = first; n < last; n += columns) {
        int64_t end = n + columns < last ? n + columns : last;
        for (int64_t m = first_row; m < last_row; m += rows) {
            int64_t m_end = m + rows < last_row ? m + rows : last_row;
            variant->multiply(gate, input, m, m_end, n, end, y + m * y_stride + n, y_stride, NULL, 0);
            variant->multiply(up, input, m, m_end, n, end, other, columns, NULL, 0);
            for (int64_t r = m; r < m_end; r++) {
                float *out = y + r * y_stride + n;
                variant->silu_multiply(out, out, other + (r - m) * columns, end - n);
            }
        }
    }
    return LK_OK;
}
