#include "internal.h"

// Rows of weights as files have them. GGUF's blocks, all little-endian, with halves (d, m) in IEEE half precision:
//
//   Q4_0 32  d, 16 bytes           (q - 8) d          low halves are weights 0-15, high halves 16-31
//   Q4_1 32  d, m, 16 bytes        q d + m
//   Q5_0 32  d, 32 high bits, 16   (q - 16) d         bit i is the fifth of weight i
//   Q5_1 32  d, m, 32 high bits,16 q d + m
//   Q8_0 32  d, 32 int8            q d
//   Q4_K 256 d, m, 12, 128         8 blocks of 32: q (d s) - m t, s and t of 6 bits in the 12 bytes
//   Q5_K 256 d, m, 12, 32, 128     the same with a fifth bit
//   Q6_K 256 128, 64, 16 int8, d   16 blocks of 16: (q - 32) (d s)

typedef struct {
    int64_t weights;
    size_t bytes;
} source_block;

static source_block block_of(int32_t source) {
    switch (source) {
    case LK_SOURCE_F32: return (source_block){1, 4};
    case LK_SOURCE_F16: return (source_block){1, 2};
    case LK_SOURCE_BF16: return (source_block){1, 2};
    case LK_SOURCE_Q4_0: return (source_block){32, 18};
    case LK_SOURCE_Q4_1: return (source_block){32, 20};
    case LK_SOURCE_Q5_0: return (source_block){32, 22};
    case LK_SOURCE_Q5_1: return (source_block){32, 24};
    case LK_SOURCE_Q8_0: return (source_block){32, 34};
    case LK_SOURCE_Q4_K: return (source_block){256, 144};
    case LK_SOURCE_Q5_K: return (source_block){256, 176};
    case LK_SOURCE_Q6_K: return (source_block){256, 210};
    default: return (source_block){0, 0};
    }
}

size_t lk_source_row_bytes(int32_t source, int64_t inputs) {
    source_block block = block_of(source);
    if (block.weights == 0 || inputs <= 0 || inputs > INT64_C(1) << 40 || inputs % block.weights != 0) return 0;
    return (size_t)(inputs / block.weights) * block.bytes;
}

int32_t lk_lossless_format(int32_t source) {
    switch (source) {
    case LK_SOURCE_F32:
    case LK_SOURCE_F16: return LK_F32;
    case LK_SOURCE_BF16: return LK_BF16;
    case LK_SOURCE_Q4_0: return LK_Q4_0;
    case LK_SOURCE_Q4_1: return LK_Q4_1;
    case LK_SOURCE_Q8_0:
    case LK_SOURCE_Q5_0: return LK_Q8_0;
    case LK_SOURCE_Q4_K: return LK_Q4G;
    case LK_SOURCE_Q5_1:
    case LK_SOURCE_Q5_K: return LK_Q8G;
    case LK_SOURCE_Q6_K: return LK_Q8S16;
    default: return -1;
    }
}

int lk_has_minimums(int32_t source) {
    return source == LK_SOURCE_Q4_1 || source == LK_SOURCE_Q5_1 || source == LK_SOURCE_Q4_K || source == LK_SOURCE_Q5_K;
}

static uint16_t half_at(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

// Scale and minimum j of 8: six bits each, of which blocks 4-7 have their upper two in the first eight bytes.
static void k_scales(const uint8_t *packed, int j, int *scale, int *minimum) {
    if (j < 4) {
        *scale = packed[j] & 63;
        *minimum = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
        *minimum = packed[j + 4] >> 4 | (packed[j] >> 6) << 4;
    }
}

static void unpack_five_bits(const uint8_t *high, const uint8_t *nibbles, int offset, int16_t *q) {
    uint32_t bits = (uint32_t)high[0] | (uint32_t)high[1] << 8 | (uint32_t)high[2] << 16 | (uint32_t)high[3] << 24;
    for (int i = 0; i < 16; i++) {
        q[i] = (int16_t)(((nibbles[i] & 15) | (int)(bits >> i & 1) << 4) - offset);
        q[i + 16] = (int16_t)((nibbles[i] >> 4 | (int)(bits >> (i + 16) & 1) << 4) - offset);
    }
}

static void unpack_four_bits(const uint8_t *nibbles, int offset, int16_t *q) {
    for (int i = 0; i < 16; i++) {
        q[i] = (int16_t)((nibbles[i] & 15) - offset);
        q[i + 16] = (int16_t)((nibbles[i] >> 4) - offset);
    }
}

void lk_read_block32(int32_t source, const uint8_t *row, int64_t block, block32 *out) {
    out->minimum = 0;
    switch (source) {
    case LK_SOURCE_Q4_0:
        row += block * 18;
        out->half_scale = half_at(row);
        unpack_four_bits(row + 2, 8, out->q);
        break;
    case LK_SOURCE_Q4_1:
        row += block * 20;
        out->half_scale = half_at(row);
        out->half_minimum = half_at(row + 2);
        out->minimum = from_f16(out->half_minimum);
        unpack_four_bits(row + 4, 0, out->q);
        break;
    case LK_SOURCE_Q5_0:
        row += block * 22;
        out->half_scale = half_at(row);
        unpack_five_bits(row + 2, row + 6, 16, out->q);
        break;
    case LK_SOURCE_Q5_1:
        row += block * 24;
        out->half_scale = half_at(row);
        out->minimum = from_f16(half_at(row + 2));
        unpack_five_bits(row + 4, row + 8, 0, out->q);
        break;
    case LK_SOURCE_Q8_0:
        row += block * 34;
        out->half_scale = half_at(row);
        for (int i = 0; i < 32; i++) out->q[i] = (int8_t)row[2 + i];
        break;
    case LK_SOURCE_Q4_K:
    case LK_SOURCE_Q5_K: {
        int five = source == LK_SOURCE_Q5_K, j = (int)(block % 8), scale, minimum;
        row += block / 8 * (five ? 176 : 144);
        k_scales(row + 4, j, &scale, &minimum);
        out->scale[0] = out->scale[1] = from_f16(half_at(row)) * (float)scale;
        out->minimum = -(from_f16(half_at(row + 2)) * (float)minimum);
        const uint8_t *low = row + (five ? 48 : 16) + j / 2 * 32;
        for (int i = 0; i < 32; i++) {
            int q = j % 2 ? low[i] >> 4 : low[i] & 15;
            out->q[i] = (int16_t)(five ? q | (row[16 + i] >> j & 1) << 4 : q);
        }
        return;
    }
    case LK_SOURCE_Q6_K: {
        row += block / 8 * 210;
        int j = (int)(block % 8), half = j / 4, quarter = j % 4;
        const uint8_t *low = row + half * 64 + quarter % 2 * 32, *high = row + 128 + half * 32;
        float d = from_f16(half_at(row + 208));
        for (int i = 0; i < 2; i++) out->scale[i] = d * (float)(int8_t)row[192 + j * 2 + i];
        for (int i = 0; i < 32; i++) {
            int q = (quarter < 2 ? low[i] & 15 : low[i] >> 4) | (high[i] >> (2 * quarter) & 3) << 4;
            out->q[i] = (int16_t)(q - 32);
        }
        return;
    }
    default: memset(out, 0, sizeof *out); return;
    }
    out->scale[0] = out->scale[1] = from_f16(out->half_scale);
}

int32_t lk_dequantize(int32_t source, const void *data, int64_t count, float *out) {
    if (count == 0) return block_of(source).weights ? LK_OK : LK_ERROR_UNSUPPORTED;
    if (block_of(source).weights == 0) return LK_ERROR_UNSUPPORTED;
    if (lk_source_row_bytes(source, count) == 0) return LK_ERROR_SHAPE;
    const uint8_t *bytes = data;
    switch (source) {
    case LK_SOURCE_F32: memcpy(out, data, (size_t)count * 4); return LK_OK;
    case LK_SOURCE_F16:
        for (int64_t i = 0; i < count; i++) out[i] = from_f16(half_at(bytes + 2 * i));
        return LK_OK;
    case LK_SOURCE_BF16:
        for (int64_t i = 0; i < count; i++) out[i] = from_bf16(half_at(bytes + 2 * i));
        return LK_OK;
    default: break;
    }
    for (int64_t b = 0; b < count / 32; b++) {
        block32 block;
        lk_read_block32(source, bytes, b, &block);
        for (int i = 0; i < 32; i++) {
#pragma clang fp contract(off)
            // Products are exact, so one rounding is left, that of the sum.
            float product = block.scale[i / 16] * (float)block.q[i];
            out[b * 32 + i] = lk_has_minimums(source) ? product + block.minimum : product;
        }
    }
    return LK_OK;
}
