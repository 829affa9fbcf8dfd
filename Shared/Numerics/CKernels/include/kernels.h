#pragma once

// Row kernels over Float32, single-threaded. Pointers never overlap unless a kernel says "in place".
// `accumulate` is 0 to write the result over `out` and 1 to add to it.

#include <stdint.h>

// elementwise.c
void ul_fill(float *out, float value, int64_t n);
void ul_fill_rows(float *out, const float *row, int64_t rows, int64_t d);
void ul_add(float *out, const float *a, const float *b, int64_t n);
void ul_accumulate(float *out, const float *x, float factor, int64_t n);
void ul_scale(float *out, const float *x, float factor, int64_t n, int accumulate);
void ul_scale_in_place(float *x, float factor, int64_t n);
void ul_multiply(float *out, const float *a, const float *b, int64_t n, int accumulate);
void ul_gated_add(float *out, const float *x, const float *y, float factor, int64_t n);
void ul_add_rows(float *out, const float *x, const float *row, int64_t rows, int64_t d);
void ul_sum_rows(float *out, const float *x, int64_t rows, int64_t d, int accumulate);
void ul_copy_columns(float *out, int64_t out_stride, const float *x, int64_t x_stride, int64_t rows, int64_t d,
                     int accumulate);
double ul_dot(const float *a, const float *b, int64_t n);
// The place of the first number that is infinite or none; -1 when all are finite.
int64_t ul_first_not_finite(const float *x, int64_t n);

// activations.c
void ul_exp(float *out, const float *x, int64_t n);
void ul_gelu(float *out, const float *x, int64_t n);
void ul_gelu_backward(float *out, const float *x, const float *gradient, int64_t n, int accumulate);
void ul_silu(float *out, const float *x, int64_t n);
void ul_silu_backward(float *out, const float *x, const float *gradient, int64_t n, int accumulate);
void ul_swiglu(float *out, const float *gate, const float *up, int64_t n);
void ul_swiglu_backward(float *gate_out, float *up_out, const float *gate, const float *up, const float *gradient,
                        int64_t n);
void ul_dropout(float *out, const float *x, int64_t n, float probability, uint64_t key, int accumulate);

// normalization.c
void ul_layer_norm(float *out, float *mean, float *inverse, const float *x, const float *gain, const float *bias,
                   int64_t rows, int64_t d, float epsilon);
void ul_layer_norm_backward(float *out, float *gain_out, float *bias_out, const float *x, const float *mean,
                            const float *inverse, const float *gain, const float *gradient, int64_t rows, int64_t d,
                            int accumulate);
void ul_rms_norm(float *out, float *inverse, const float *x, const float *gain, int64_t rows, int64_t d,
                 float epsilon);
void ul_rms_norm_backward(float *out, float *gain_out, const float *x, const float *inverse, const float *gain,
                          const float *gradient, int64_t rows, int64_t d, int accumulate);

// softmax.c
void ul_attention_softmax(float *scores, float *log_sums, int64_t rows, int64_t columns, int64_t stride, int causal,
                          int64_t offset);
void ul_attention_probabilities(float *scores, const float *log_sums, int64_t rows, int64_t columns, int64_t stride,
                                int causal, int64_t offset);
void ul_attention_score_gradient(float *gradient, const float *probabilities, const float *deltas, int64_t rows,
                                 int64_t columns, int64_t stride, int causal, int64_t offset, float scale);
void ul_row_dots(float *out, const float *a, const float *b, int64_t rows, int64_t d, int64_t stride);
double ul_cross_entropy(float *logits, const int32_t *targets, const float *weights, int64_t rows, int64_t columns,
                        int want_gradient);
double ul_cross_entropy_candidates(float *gradient, const float *logits, const int32_t *targets,
                                   const float *weights, const int32_t *candidates, const int32_t *offsets,
                                   int64_t rows, int64_t columns);

// pointwise_attention.c
void ul_pointwise_weights(float *scores, const float *positions, int64_t last, const float *biases,
                          const int32_t *times, int32_t buckets, int64_t first, int64_t rows, int64_t columns,
                          int64_t stride, int causal, float scale);
void ul_pointwise_gradient(float *scores, float *gradient, const float *positions, float *position_gradient,
                           int64_t last, const float *biases, float *bias_gradient, const int32_t *times,
                           int32_t buckets, int64_t first, int64_t rows, int64_t columns, int64_t stride, int causal,
                           float scale);

// sampled_softmax.c
double ul_sampled_cross_entropy(float *logits, float *chosen, const float *x, const float *positives,
                                const int32_t *targets, const int32_t *negatives, const float *bias, int64_t rows,
                                int64_t columns, int64_t d, int want_gradient);
void ul_scale_rows(float *out, const float *x, const float *factors, int64_t rows, int64_t d, int accumulate);

// gather.c
void ul_gather_rows(float *out, const float *table, const int32_t *indices, int64_t n, int64_t d);
void ul_scatter_add_rows(float *table, const float *x, const int32_t *indices, int64_t n, int64_t d);
void ul_bag_means(float *out, const float *table, const int32_t *indices, const int32_t *offsets, int64_t n,
                  int64_t d);
void ul_bag_means_backward(float *table, const float *gradient, const int32_t *indices, const int32_t *offsets,
                           int64_t n, int64_t d);
void ul_masked_mean(float *out, const float *x, const int32_t *lengths, int64_t batch, int64_t time, int64_t d);
void ul_masked_mean_backward(float *out, const float *gradient, const int32_t *lengths, int64_t batch, int64_t time,
                             int64_t d, int accumulate);
void ul_rotary(float *out, const float *x, const float *cosines, const float *sines, const int32_t *positions,
               int64_t rows, int64_t heads, int64_t width, int inverse, int accumulate);

// optimizer.c
void ul_adamw(float *weights, float *first, float *second, const float *gradient, int64_t n, float learning_rate,
              float beta1, float beta2, float epsilon, float weight_decay, float gradient_scale, float correction1,
              float correction2);

// bfloat16_product.c
int64_t ul_bfloat16_packed_count(int64_t n, int64_t k);
int64_t ul_bfloat16_scratch_count(void);
void ul_bfloat16_pack(uint16_t *out, const float *source, int64_t stride, int transposed, int64_t n, int64_t k);
void ul_bfloat16_product(float *c, int64_t c_stride, const float *a, int64_t a_stride, int a_transposed,
                         const uint16_t *b, int64_t b_depth, uint16_t *scratch, int64_t m, int64_t n, int64_t k,
                         float factor, int accumulate, const float *bias);
// The same by plain loops, for processors without the instruction; the two layouts of B differ.
void ul_bfloat16_pack_plainly(uint16_t *out, const float *source, int64_t stride, int transposed, int64_t n,
                              int64_t k);
void ul_bfloat16_product_plainly(float *c, int64_t c_stride, const float *a, int64_t a_stride, int a_transposed,
                                 const uint16_t *b, int64_t b_depth, int64_t m, int64_t n, int64_t k, float factor,
                                 int accumulate, const float *bias);

// convert.c
void ul_from_bfloat16(float *out, const uint16_t *x, int64_t n);
void ul_from_float16(float *out, const uint16_t *x, int64_t n);

// cpu.c: 0 baseline, 1 AVX2 with FMA, 2 AVX-512 (F, BW, DQ, VL), 3 AVX-512 with BF16.
int ul_cpu_level(void);

// Makes this thread's arithmetic take numbers below the normal range for 0, until the value that it returns is restored.
// A processor multiplies such numbers a hundred times slower than others.
uint64_t ul_flush_subnormals(void);
void ul_restore_subnormals(uint64_t before);
