#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

// A region starts when `generation` counts up; workers that spin see it at once, sleepers are woken. It ends when every
// worker has counted itself into `finished`.

enum {
    // Pauses before the clock is read once: about two microseconds.
    pauses_per_look = 64,
    // How long an idle worker spins before it sleeps, in nanoseconds.
    spin_nanoseconds = 50 * 1000,
    // How long a member that waits for the others spins before it lets other threads run between its looks: they may be
    // waiting for this very core.
    patience_nanoseconds = 20 * 1000,
    // How long it goes on looking before it sleeps. A core that is never idle is given no thread from a busy one, so a
    // member that another process has driven from its core would stay there for a whole time slice.
    stamina_nanoseconds = 200 * 1000,
    max_members = 256,
};

typedef struct {
    lk_team *team;
    int32_t member;
    pthread_t thread;
} worker;

struct lk_team {
    int32_t members;
    lk_region region;
    void *context;
    // What the thread that runs the region was told to use.
    const lk_variant *variant;
    _Alignas(64) atomic_uint generation;
    _Alignas(64) atomic_int finished;
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint barrier_round;
    _Alignas(64) atomic_llong claimed;
    _Alignas(64) atomic_int sleeping;
    // Members that sleep at a barrier, or until the region has ended.
    atomic_int resting;
    atomic_int ends;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_cond_t go_on;
    worker *workers;
};

INLINE void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Counts the looks of one wait. Gives the nanoseconds waited so far, now and then; 0 otherwise.
typedef struct {
    int32_t looks;
    int64_t start;
} waiting;

INLINE int64_t wait_a_little(waiting *w) {
    pause_briefly();
    if (++w->looks % pauses_per_look != 0) return 0;
    int64_t now = nanoseconds();
    if (w->start == 0) w->start = now;
    return now - w->start;
}

// Looks, and sleeps in the end, until `condition`, an expression of the team's atomic values, holds. Who makes it hold calls
// `wake_resting` afterwards.
//
// The sleeper counts itself first and looks at the condition then; the other side makes it hold first and looks for
// sleepers then. All four are sequentially consistent, so either sees the other.
#define REST_UNTIL(team, condition)                                                                                       \
    do {                                                                                                                   \
        waiting w = {0, 0};                                                                                                \
        while (!(condition)) {                                                                                             \
            int64_t waited = wait_a_little(&w);                                                                            \
            if (waited > stamina_nanoseconds) {                                                                            \
                pthread_mutex_lock(&(team)->mutex);                                                                        \
                atomic_fetch_add(&(team)->resting, 1);                                                                     \
                while (!(condition)) pthread_cond_wait(&(team)->go_on, &(team)->mutex);                                    \
                atomic_fetch_sub(&(team)->resting, 1);                                                                     \
                pthread_mutex_unlock(&(team)->mutex);                                                                      \
                break;                                                                                                     \
            }                                                                                                              \
            if (waited > patience_nanoseconds) sched_yield();                                                              \
        }                                                                                                                  \
    } while (0)

INLINE void wake_resting(lk_team *team) {
    if (atomic_load(&team->resting) == 0) return;
    pthread_mutex_lock(&team->mutex);
    pthread_cond_broadcast(&team->go_on);
    pthread_mutex_unlock(&team->mutex);
}

// Returns when the generation is another one than `seen`.
static unsigned wait_for_generation(lk_team *team, unsigned seen) {
    waiting w = {0, 0};
    unsigned generation;
    while ((generation = atomic_load_explicit(&team->generation, memory_order_acquire)) == seen) {
        if (wait_a_little(&w) < spin_nanoseconds) continue;
        pthread_mutex_lock(&team->mutex);
        // The starter counts up first and looks for sleepers then; so either it sees this one or this one sees it.
        atomic_fetch_add(&team->sleeping, 1);
        while ((generation = atomic_load(&team->generation)) == seen) pthread_cond_wait(&team->wake, &team->mutex);
        atomic_fetch_sub(&team->sleeping, 1);
        pthread_mutex_unlock(&team->mutex);
        break;
    }
    return generation;
}

static void *work(void *argument) {
    worker *self = argument;
    lk_team *team = self->team;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_generation(team, seen);
        if (atomic_load_explicit(&team->ends, memory_order_acquire)) return NULL;
        lk_use_variant(team->variant);
        team->region(team->context, self->member, team->members);
        if (atomic_fetch_add(&team->finished, 1) == team->members - 2) wake_resting(team);
    }
}

static void start_generation(lk_team *team) {
    atomic_fetch_add(&team->generation, 1);
    if (atomic_load(&team->sleeping) == 0) return;
    pthread_mutex_lock(&team->mutex);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
}

static void end_workers(lk_team *team, int32_t count) {
    atomic_store_explicit(&team->ends, 1, memory_order_release);
    start_generation(team);
    for (int32_t i = 0; i < count; i++) pthread_join(team->workers[i].thread, NULL);
    pthread_cond_destroy(&team->go_on);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->mutex);
    free(team->workers);
    free(team);
}

lk_team *lk_team_create(int32_t members) {
    if (members < 1 || members > max_members) return NULL;
    lk_team *team = aligned_alloc(64, rounded_up(sizeof(lk_team), 64));
    if (!team) return NULL;
    memset(team, 0, sizeof *team);
    team->members = members;
    team->workers = calloc((size_t)members, sizeof(worker));
    if (!team->workers) {
        free(team);
        return NULL;
    }
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    pthread_cond_init(&team->go_on, NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    // Kernels keep up to half a megabyte on the stack.
    pthread_attr_setstacksize(&attributes, 4u << 20);
    for (int32_t i = 0; i < members - 1; i++) {
        team->workers[i].team = team;
        team->workers[i].member = i + 1;
        if (pthread_create(&team->workers[i].thread, &attributes, work, &team->workers[i]) != 0) {
            pthread_attr_destroy(&attributes);
            end_workers(team, i);
            return NULL;
        }
    }
    pthread_attr_destroy(&attributes);
    return team;
}

void lk_team_destroy(lk_team *team) {
    if (team) end_workers(team, team->members - 1);
}

int32_t lk_team_size(const lk_team *team) { return team->members; }

void lk_team_run(lk_team *team, lk_region region, void *context) {
    atomic_store_explicit(&team->claimed, 0, memory_order_relaxed);
    if (team->members == 1) {
        region(context, 0, 1);
        return;
    }
    team->region = region;
    team->context = context;
    team->variant = lk_selected_variant();
    atomic_store_explicit(&team->finished, 0, memory_order_relaxed);
    start_generation(team);
    region(context, 0, team->members);
    REST_UNTIL(team, atomic_load(&team->finished) >= team->members - 1);
}

void lk_team_barrier(lk_team *team) {
    if (team->members == 1) {
        atomic_store_explicit(&team->claimed, 0, memory_order_relaxed);
        return;
    }
    unsigned round = atomic_load_explicit(&team->barrier_round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->members - 1) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team->claimed, 0, memory_order_relaxed);
        atomic_store(&team->barrier_round, round + 1);
        wake_resting(team);
        return;
    }
    REST_UNTIL(team, atomic_load(&team->barrier_round) != round);
}

int64_t lk_team_claim(lk_team *team) {
    return atomic_fetch_add_explicit(&team->claimed, 1, memory_order_relaxed);
}
