#pragma once

// Each kernel is compiled for AVX-512, AVX2 and the baseline; the loader picks the clone for the CPU it runs on.
#if defined(__x86_64__)
#define KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KERNEL
#endif

#define INLINE static inline __attribute__((always_inline))
