#include "kernels.h"
#include "vector_math.h"

// One pass of AdamW (arXiv 1711.05101): moments, bias correction, decoupled weight decay and the update.
KERNEL void ul_adamw(float *restrict weights, float *restrict first, float *restrict second,
                     const float *restrict gradient, int64_t n, float learning_rate, float beta1, float beta2,
                     float epsilon, float weight_decay, float gradient_scale, float correction1, float correction2) {
    float kept = 1.0f - learning_rate * weight_decay;
    float step = learning_rate / correction1;
    float inverse2 = 1.0f / correction2;
    for (int64_t i = 0; i < n; i++) {
        float g = gradient[i] * gradient_scale;
        float m = beta1 * first[i] + (1.0f - beta1) * g;
        float v = beta2 * second[i] + (1.0f - beta2) * g * g;
        first[i] = m;
        second[i] = v;
        weights[i] = weights[i] * kept - step * m / (__builtin_elementwise_sqrt(v * inverse2) + epsilon);
    }
}
