#pragma once

// The arithmetic of a language model's inference on a CPU: products with packed weights, attention over paged keys and
// values, and the small operations between them.
//
// Promises that hold for every function here:
//
// - What is computed for a row (a token's position) depends on that row alone: the same bits come out whatever other
//   rows are in the call, how rows and outputs are split among threads, and how a prompt was cut into blocks.
// - Nothing reads the environment, locks, or allocates, except where a comment says so. Functions that take a range may
//   be called by several threads at once on disjoint ranges.
// - NaN and infinity in activations give NaN or infinity in that row, never a crash.
// - Bits do depend on the variant (the instruction set), except those of lk_multiply with any format but LK_BF16.
//
// Shapes are [rows, columns], the last contiguous; strides count floats from row to row. Pointers need no alignment.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What functions that can fail return.
enum {
    LK_OK = 0,
    /// A size is out of range, or not a multiple of the format's block.
    LK_ERROR_SHAPE = 1,
    /// The format, source or variant is unknown, or does not go with the others.
    LK_ERROR_UNSUPPORTED = 2,
    /// Memory could not be had.
    LK_ERROR_MEMORY = 3,
    /// The input was prepared for another kind of matrix, or for another width.
    LK_ERROR_INPUT = 4,
};

// MARK: - Variants

/// Name of the variant that the calling thread uses: "reference", "avx2", "avxvnni", "avx512" (with VNNI) or
/// "avx512bf16". The best that the processor runs is taken by itself.
const char *lk_variant_name(void);

/// Whether this processor runs the variant of that name: 1 or 0.
int lk_variant_runs(const char *name);

/// Takes the named variant for the calling thread and for the teams that it runs, or the best one again for NULL. For
/// tests: matrices stay valid, prepared inputs do not. LK_ERROR_UNSUPPORTED if it does not run here.
int lk_select_variant(const char *name);

// MARK: - A team of threads

/// Threads that work on one region of code together. The caller of lk_team_run is member 0.
typedef struct lk_team lk_team;

/// What each member runs. `members` is the team's size.
typedef void (*lk_region)(void *context, int32_t member, int32_t members);

/// A team of 1 to 256 members, caller included: so one member fewer is started as threads. NULL if that fails.
lk_team *lk_team_create(int32_t members);

/// Ends and joins the threads. The team must not be running.
void lk_team_destroy(lk_team *team);

/// Members of the team.
int32_t lk_team_size(const lk_team *team);

/// Runs the region on every member and returns when all are done. One caller at a time; not from inside a region.
/// Idle members spin for some tens of microseconds, then sleep until the next region.
void lk_team_run(lk_team *team, lk_region region, void *context);

/// Inside a region: waits until every member has come here. What any member wrote before is seen by all after it.
void lk_team_barrier(lk_team *team);

/// Inside a region: 0, 1, 2, ... in the order of the calls of all members, from 0 again after the start of a region and
/// after each barrier. For handing out pieces of work of unequal size.
int64_t lk_team_claim(lk_team *team);

// MARK: - Packed weights

/// How weights lie in a packed matrix. All but the first two multiply in int8 (see lk_input).
enum {
    /// Float32.
    LK_F32 = 0,
    /// bfloat16; sums in Float32.
    LK_BF16 = 1,
    /// int8 made of any weights when they are packed: as LK_Q8_0, for magnitudes up to 8e6 (larger ones become that).
    LK_INT8 = 2,
    /// int8, one half-precision scale for each 32 inputs of an output: GGUF's Q8_0 and Q5_0 without loss.
    LK_Q8_0 = 3,
    /// 4 bits less 8, one half-precision scale for 32: GGUF's Q4_0 without loss.
    LK_Q4_0 = 4,
    /// 4 bits, half-precision scale and minimum for 32: GGUF's Q4_1 without loss.
    LK_Q4_1 = 5,
    /// 4 bits, Float32 scale and minimum for 32: GGUF's Q4_K without loss.
    LK_Q4G = 6,
    /// int8, Float32 scale and minimum for 32: GGUF's Q5_1 and Q5_K without loss.
    LK_Q8G = 7,
    /// int8, one Float32 scale for 16: GGUF's Q6_K without loss.
    LK_Q8S16 = 8,
};

/// How rows of weights come from a file; the blocks are GGUF's, and so are the numbers.
enum {
    LK_SOURCE_F32 = 0,
    LK_SOURCE_F16 = 1,
    LK_SOURCE_Q4_0 = 2,
    LK_SOURCE_Q4_1 = 3,
    LK_SOURCE_Q5_0 = 6,
    LK_SOURCE_Q5_1 = 7,
    LK_SOURCE_Q8_0 = 8,
    LK_SOURCE_Q4_K = 12,
    LK_SOURCE_Q5_K = 13,
    LK_SOURCE_Q6_K = 14,
    LK_SOURCE_BF16 = 30,
};

/// Bytes of one row of `inputs` weights as the source lays them out; 0 if the source is unknown or its blocks do not
/// divide the row.
size_t lk_source_row_bytes(int32_t source, int64_t inputs);

/// The format that keeps the source's weights without loss (F16 becomes LK_F32), or -1 if the source is unknown.
int32_t lk_lossless_format(int32_t source);

/// Writes `count` weights as Float32, bit for bit as the `gguf` package does. `count` must be a multiple of the block.
int32_t lk_dequantize(int32_t source, const void *data, int64_t count, float *out);

/// Weights of [outputs, inputs], laid out for multiplication.
typedef struct lk_matrix lk_matrix;

/// Allocates a matrix of zeros. Outputs and inputs are 1 to 2^20; inputs a multiple of 32 for formats in blocks. NULL
/// with the reason in `status` (which may be NULL) on failure. The caller vouches that so much memory is wanted.
lk_matrix *lk_matrix_create(int32_t format, int64_t outputs, int64_t inputs, int32_t *status);

/// Frees the matrix; NULL is ignored.
void lk_matrix_destroy(lk_matrix *matrix);

/// Packs rows `first ..< first + count` from rows that stand `row_bytes` apart. Any source goes into any format:
/// without loss where lk_lossless_format says so; otherwise weights are made Float32 and rounded to LK_BF16, or to
/// LK_INT8; the other formats take only what fits without loss (LK_ERROR_UNSUPPORTED). May be called for rows in any
/// order; by several threads at once for rows that are not in one group of 16.
int32_t lk_matrix_set_rows(lk_matrix *matrix, int64_t first, int64_t count, int32_t source, const void *rows,
                           size_t row_bytes);

/// Writes one row as Float32: [inputs]. This is how a token's embedding is read from a table that is also the head.
int32_t lk_matrix_get_row(const lk_matrix *matrix, int64_t row, float *out);

int64_t lk_matrix_outputs(const lk_matrix *matrix);
int64_t lk_matrix_inputs(const lk_matrix *matrix);
int32_t lk_matrix_format(const lk_matrix *matrix);
/// Bytes that a product reads.
size_t lk_matrix_bytes(const lk_matrix *matrix);

// MARK: - Products

/// Rows of activations as a product reads them. For formats in int8 each row is rounded to int8 with a scale for each
/// block of 32 inputs: the largest magnitude becomes 127. (Blocks of 64 would be faster, but raise SmolLM2's perplexity
/// by .4 %; those of 32 by .2 % or less.) For LK_F32 and LK_BF16 it is the Float32 rows themselves, rounded to bfloat16
/// for LK_BF16 in the variant "avx512bf16".
/// Matrices of equal lk_input_kind and width share one input.
typedef struct lk_input lk_input;

/// An input without rows. NULL if there is no memory.
lk_input *lk_input_create(void);
/// Frees the input; NULL is ignored.
void lk_input_destroy(lk_input *input);

/// The kind of input that this matrix is multiplied with, in the variant in use.
int32_t lk_input_kind(const lk_matrix *matrix);

/// Sets what is to be prepared: `rows` rows of `inputs` floats at `x`, which must stay until the last product.
/// Allocates when more room is needed than ever before. For one thread, before the others prepare.
int32_t lk_input_begin(lk_input *input, int32_t kind, const float *x, int64_t stride, int64_t rows, int64_t inputs);

/// Prepares rows `first ..< last`.
void lk_input_prepare(lk_input *input, int64_t first, int64_t last);

/// Both in one call: for one thread.
int32_t lk_prepare_input(lk_input *input, const lk_matrix *matrix, const float *x, int64_t stride, int64_t rows);

/// Outputs of this member's share of a matrix, in whole groups of 16: `*first ..< *last` (equal if there are none).
void lk_split(int64_t outputs, int32_t members, int32_t member, int64_t *first, int64_t *last);

/// y[m, n] = sum over k of x[m, k] * w[n, k] (+ bias[n]) (+ y[m, n] if `accumulate`), for rows `first_row ..< last_row`
/// of the input and outputs `first ..< last`. `first` is a multiple of 16, `last` too unless it is the matrix's end.
/// `y` is where row 0 and output 0 would be.
int32_t lk_multiply(const lk_matrix *matrix, const lk_input *input, int64_t first_row, int64_t last_row, int64_t first,
                    int64_t last, float *y, int64_t y_stride, const float *bias, int32_t accumulate);

/// y[m, n] = silu(gate product) * (up product): the first half of a SwiGLU feed-forward layer. Both matrices have one
/// shape and one kind of input.
int32_t lk_multiply_gated(const lk_matrix *gate, const lk_matrix *up, const lk_input *input, int64_t first_row,
                          int64_t last_row, int64_t first, int64_t last, float *y, int64_t y_stride);

// MARK: - Operations on rows

/// out = x / sqrt(mean(x^2) + epsilon) * weight for each of `rows` rows of `width`. In place if out is x.
/// For norms of each head of q or k (Qwen3): rows * heads rows of the head's width.
void lk_rms_norm(float *out, int64_t out_stride, const float *x, int64_t x_stride, const float *weight, int64_t rows,
                 int64_t width, float epsilon);

/// Turns `heads` heads of each row in place, each by the row's angle: element i of a head's first half is turned with
/// element i of its second half (Hugging Face's rotate_half). `cosines` and `sines` are [positions, width / 2], and
/// `positions` gives the row of the table for each row of x.
void lk_rotary(float *x, int64_t stride, const float *cosines, const float *sines, const int32_t *positions,
               int64_t rows, int64_t heads, int64_t width);

/// out = silu(gate) * up over `count` values. In place if out is gate or up.
void lk_silu_multiply(float *out, const float *gate, const float *up, int64_t count);

/// out += factor * x over `count` values.
void lk_add_scaled(float *out, const float *x, float factor, int64_t count);

// MARK: - Paged keys and values

/// How keys and values are stored.
enum {
    LK_CACHE_F32 = 0,
    LK_CACHE_BF16 = 1,
    /// int8 with one Float32 scale for each position and head.
    LK_CACHE_INT8 = 2,
};

/// A page holds the keys and values of one layer, of all its key/value heads, for `page_positions` neighbouring
/// positions.
typedef struct lk_cache_layout {
    /// LK_CACHE_...
    int32_t format;
    /// Heads of keys and values, 1 to 1,024.
    int32_t kv_heads;
    /// Width of a head: a multiple of 16, up to 256.
    int32_t head_width;
    /// A multiple of 16, up to 256.
    int32_t page_positions;
} lk_cache_layout;

/// Bytes of a page, a multiple of 64; 0 if a field is out of range. A copy of these bytes is a copy of the page. Pages
/// need no initialisation; aligned to 64 they are read faster.
size_t lk_page_bytes(const lk_cache_layout *layout);

/// Stores keys and values of `rows` positions from `first_position` on. k and v are [rows, kv_heads * head_width].
/// `pages[i]` is the page of positions i * page_positions and following.
void lk_cache_write(const lk_cache_layout *layout, void *const *pages, int64_t first_position, const float *k,
                    int64_t k_stride, const float *v, int64_t v_stride, int64_t rows);

// MARK: - Attention

/// Causal attention of `rows` neighbouring positions of one sequence over its pages: each position reads the keys of
/// position 0 up to its own (which must be written).
typedef struct lk_attention {
    lk_cache_layout layout;
    /// The sequence's pages in this layer, in order.
    const void *const *pages;
    /// Position of row 0.
    int64_t first_position;
    int64_t rows;
    /// Heads of queries: a multiple of layout.kv_heads; query head h reads key/value head h / (heads / kv_heads).
    int32_t heads;
    /// Factor of the scores, as a rule 1 / sqrt(head_width).
    float scale;
    /// Queries, [rows, heads * head_width].
    const float *q;
    int64_t q_stride;
    /// The result, [rows, heads * head_width]. Not q.
    float *out;
    int64_t out_stride;
    /// lk_attention_workspace_bytes bytes (NULL if 0).
    void *workspace;
} lk_attention;

/// LK_OK, or LK_ERROR_SHAPE if a field is out of range.
int32_t lk_attention_check(const lk_attention *attention);

/// Bytes of workspace that these positions need: 0 for most, some for few positions after a long context, which is then
/// cut into pieces that members work on at the same time.
size_t lk_attention_workspace_bytes(const lk_attention *attention);

/// The work is cut into so many items, which may be done in any order, by any thread.
int64_t lk_attention_items(const lk_attention *attention);

/// Does one item: 0 ..< lk_attention_items.
void lk_attention_run(const lk_attention *attention, int64_t item);

/// After all items (and a barrier) where there is a workspace: joins the pieces of this member's share of the heads.
/// Does nothing where there is none.
void lk_attention_finish(const lk_attention *attention, int32_t member, int32_t members);

/// All of it on the calling thread.
void lk_attention_all(const lk_attention *attention);

/// Attention of each row to all `count` vectors of a context, without a mask: out[rows, heads * head_width] from
/// q[rows, heads * head_width] and k, v of [count, heads * head_width], contiguous. `count` is 1 to 4,096; head_width
/// is any.
void lk_cross_attention(float *out, int64_t out_stride, const float *q, int64_t q_stride, const float *k,
                        const float *v, int64_t count, int64_t rows, int64_t heads, int64_t head_width, float scale);

// MARK: - Logits

/// Index of the largest value, of the first if several are equal; NaN is never the largest. 0 if all are NaN or
/// minus infinity.
int64_t lk_argmax(const float *x, int64_t count);

/// log(sum(e^x)): the logarithm of a softmax's denominator. Minus infinity for no values.
float lk_log_sum_exp(const float *x, int64_t count);

/// The k largest values, falling, and their indices; equal values by rising index; NaN counts as minus infinity. Gives
/// how many were written: the smaller of k and count.
int64_t lk_top_k(const float *x, int64_t count, int64_t k, float *values, int32_t *indices);

/// out = e^(x - log_sum) over `count` values: probabilities, where log_sum is lk_log_sum_exp's. In place if out is x.
void lk_probabilities(float *out, const float *x, float log_sum, int64_t count);

#ifdef __cplusplus
}
#endif
