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

static _Atomic(const lk_variant *) in_use;

const lk_variant *lk_variant_in_use(void) {
    const lk_variant *variant = atomic_load_explicit(&in_use, memory_order_acquire);
    if (variant) return variant;
    lk_select_variant(NULL);
    return atomic_load_explicit(&in_use, memory_order_acquire);
}

const char *lk_variant_name(void) { return lk_variant_in_use()->name; }

int lk_variant_runs(const char *name) {
    for (int i = 0; i < variant_count; i++) {
        if (strcmp(variants[i]->name, name) == 0) return variants[i]->runs();
    }
    return 0;
}

int lk_select_variant(const char *name) {
    for (int i = 0; i < variant_count; i++) {
        if (name && strcmp(variants[i]->name, name) != 0) continue;
        if (!variants[i]->runs()) continue;
        atomic_store_explicit(&in_use, variants[i], memory_order_release);
        return LK_OK;
    }
    return LK_ERROR_UNSUPPORTED;
}
