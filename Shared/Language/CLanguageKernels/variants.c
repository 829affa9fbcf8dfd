#include "internal.h"

#include <stdatomic.h>

// Best first.
static const lk_variant *const variants[] = {
#if defined(__x86_64__)
    &lk_avx512bf16,
    &lk_avx512,
    &lk_avxvnni,
    &lk_avx2,
#endif
    &lk_reference,
};

enum { variant_count = sizeof variants / sizeof variants[0] };

static _Atomic(const lk_variant *) best;

// What a thread was told to use instead.
static _Thread_local const lk_variant *selected;

const lk_variant *lk_variant_in_use(void) {
    if (selected) return selected;
    const lk_variant *variant = atomic_load_explicit(&best, memory_order_acquire);
    if (variant) return variant;
    // The last one runs everywhere.
    for (int i = 0; i < variant_count && !variant; i++) {
        if (variants[i]->runs()) variant = variants[i];
    }
    atomic_store_explicit(&best, variant, memory_order_release);
    return variant;
}

const lk_variant *lk_selected_variant(void) { return selected; }

void lk_use_variant(const lk_variant *variant) { selected = variant; }

const char *lk_variant_name(void) { return lk_variant_in_use()->name; }

int lk_variant_runs(const char *name) {
    for (int i = 0; i < variant_count; i++) {
        if (strcmp(variants[i]->name, name) == 0) return variants[i]->runs();
    }
    return 0;
}

int lk_select_variant(const char *name) {
    const lk_variant *variant = NULL;
    for (int i = 0; i < variant_count && name; i++) {
        if (strcmp(variants[i]->name, name) == 0 && variants[i]->runs()) variant = variants[i];
    }
    if (name && !variant) return LK_ERROR_UNSUPPORTED;
    selected = variant;
    return LK_OK;
}
