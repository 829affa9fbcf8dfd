#pragma once

#include <stddef.h>
#include <stdint.h>

// libFuzzer as a library: it tries inputs until its time is over or one ends the process.
// Source: LLVM, docs/LibFuzzer, "Using libFuzzer as a library".
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
