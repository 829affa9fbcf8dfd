// Products of bfloat16 weights with activations rounded to bfloat16, included by avx512.c. An instruction multiplies
// two neighbours with two and adds both products to a Float32 sum; it takes subnormal numbers for zero.

static void prepare_bf16(const lk_input *input, int64_t first, int64_t last) {
    if (input->kind != input_bf16) {
        prepare(input, first, last);
        return;
    }
    for (int64_t row = first; row < last; row++) {
        const float *x = input->x + row * input->stride;
        uint16_t *out = (uint16_t *)(input->data + (size_t)row * input->row_bytes);
        for (int64_t k = 0; k < input->inputs; k++) out[k] = bf16_from(x[k]);
        // The second of the last pair, where the width is odd.
        if (input->inputs % 2 != 0) out[input->inputs] = 0;
    }
}

INLINE void pairs_tile(const int rows, const int registers, const int reads, const piece_of_weights *w,
                       const lk_input *input, int64_t row, float *sums) {
    (void)reads;
    const uint8_t *x = input->data + (size_t)row * input->row_bytes;
    const size_t x_step = input->row_bytes, step = w->weights_step;
    for (int64_t start = w->from; start < w->to; start += float_run) {
        const uint8_t *at = w->weights + (start - w->from) * panel_width * 2;
        int64_t end = start + float_run < w->to ? start + float_run : w->to;
        floats sum[tile_rows][tile_registers];
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < registers; v++) sum[r][v] = (floats){};
        }
        KEEP_LOOP for (int64_t k = start; k < end; k += 2, at += panel_width * 4) {
            ints column[tile_registers];
            UNROLL for (int v = 0; v < registers; v++) column[v] = *(const ints_at *)(at + (size_t)v * step);
            UNROLL for (int r = 0; r < rows; r++) {
                ints pair = (ints){} + *(const int32_t *)(x + (size_t)r * x_step + (size_t)k * 2);
                UNROLL for (int v = 0; v < registers; v++) sum[r][v] = dot2(sum[r][v], column[v], pair);
            }
        }
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < registers; v++) {
                float *target = sums + r * stripe + v * LANES;
                STORE(target, LOAD(target) + sum[r][v]);
            }
        }
    }
}

TILES(pairs_tiles, float_rows, pairs_tile, reads_bf16)

static void multiply_bf16(const lk_matrix *matrix, const lk_input *input, int64_t first_row, int64_t last_row,
                          int64_t first, int64_t last, float *y, int64_t y_stride, const float *bias,
                          int32_t accumulate) {
    plan p = plan_for(matrix);
    if (matrix->format == LK_BF16) p = (plan){pairs_tiles, pairs_tiles, 0, float_rows, 2 * float_run, 2};
    multiply_by_plan(&p, matrix, input, first_row, last_row, first, last, y, y_stride, bias, accumulate);
}
