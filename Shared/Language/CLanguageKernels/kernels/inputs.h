// Activations in int8, included by each variant's file after lanes.h. Every step is exact or rounds one number once, so
// that all variants give the same bytes as the plain loops.

// A block as bytes; gives minus the sums of its two halves.
INLINE void quantize_block(int8_t *out, const float *x, float inverse, int32_t *negative16) {
    negative16[0] = negative16[1] = 0;
    UNROLL for (int i = 0; i < input_block; i += LANES) {
        // The nearest integer, ties to even, appears in the low bits.
        floats shifted = FMA(LOAD(x + i), splat(inverse), splat(12582912.0f));
        ints q = (ints)shifted - 0x4B400000;
        *(chars_at *)(out + i) = __builtin_convertvector(q, chars_at);
        negative16[i / 16] -= __builtin_reduce_add(q);
    }
}

static void prepare(const lk_input *input, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
        const float *x = input->x + row * input->stride;
        uint8_t *base = input->data + (size_t)row * input->row_bytes;
        float *scales = (float *)base, *sums = (float *)(base + input->sum_at);
        int32_t *negative = (int32_t *)(base + input->negative_at);
        int32_t *negative16 = (int32_t *)(base + input->negative16_at);
        int8_t *quants = (int8_t *)(base + input->quants_at);
        for (int64_t b = 0; b < input->inputs / input_block; b++, x += input_block, quants += input_block) {
            ints magnitudes = {};
            UNROLL for (int i = 0; i < input_block; i += LANES) {
                ints bits = (ints)LOAD(x + i) & 0x7FFFFFFF;
                magnitudes = chosen(bits > magnitudes, bits, magnitudes);
            }
            uint32_t largest = (uint32_t)__builtin_reduce_max(magnitudes);
            float most = from_bits(largest);
            if (largest >= 0x7F800000u || most < 1e-30f) {
                // What is not finite makes the block NaN; what is too small for its inverse counts as zero.
                scales[b] = sums[b] = largest >= 0x7F800000u ? NAN : 0;
                negative[b] = negative16[2 * b] = negative16[2 * b + 1] = 0;
                memset(quants, 0, input_block);
                continue;
            }
            quantize_block(quants, x, 127.0f / most, negative16 + 2 * b);
            scales[b] = most / 127.0f;
            negative[b] = negative16[2 * b] + negative16[2 * b + 1];
            sums[b] = scales[b] * (float)-negative[b];
        }
    }
}
