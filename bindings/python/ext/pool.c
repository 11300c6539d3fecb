/* A pool of POSIX threads. An own one rather than OpenMP, so that the wheel needs no second
 * OpenMP runtime beside PyTorch's, and so that a forked child can go on. */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

/* One parallel loop. Tasks are taken one by one, so that uneven cores end together. */
typedef struct task_loop {
    void (*task)(void *argument, size_t index);
    void *argument;
    size_t tasks;
    atomic_size_t next;
} task_loop;

static struct {
    pthread_mutex_t busy; /* held during one loop */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t begin, end;
    task_loop *loop;
    unsigned generation; /* counts loops */
    int started;         /* worker threads that exist */
    int invited;         /* workers that may still join the loop */
    int working;
} pool = {PTHREAD_MUTEX_INITIALIZER,
          PTHREAD_MUTEX_INITIALIZER,
          PTHREAD_COND_INITIALIZER,
          PTHREAD_COND_INITIALIZER,
          NULL,
          0,
          0,
          0,
          0};

static void take_tasks(task_loop *loop) {
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed);
        if (index >= loop->tasks)
            return;
        loop->task(loop->argument, index);
    }
}

static void *work(void *unused) {
    (void)unused;
    unsigned seen = 0;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (!pool.loop || pool.generation == seen || pool.invited == 0)
            pthread_cond_wait(&pool.begin, &pool.lock);
        seen = pool.generation;
        pool.invited--;
        pool.working++;
        task_loop *current = pool.loop;
        pthread_mutex_unlock(&pool.lock);
        take_tasks(current);
        pthread_mutex_lock(&pool.lock);
        if (--pool.working == 0)
            pthread_cond_signal(&pool.end);
    }
    return NULL;
}

/* Only the forking thread lives on in the child, so the pool is empty and idle there. */
static void forget_threads(void) {
    pthread_mutex_init(&pool.busy, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.begin, NULL);
    pthread_cond_init(&pool.end, NULL);
    pool.loop = NULL;
    pool.started = pool.invited = pool.working = 0;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, forget_threads);
}

/* Signals are for Python's threads. If a thread cannot be had, the loop has fewer. */
static void start_workers(int wanted) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    if (wanted <= pool.started)
        return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; pool.started < wanted; pool.started++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) != 0)
            break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void share(task_loop *loop, int helpers) {
    pthread_mutex_lock(&pool.lock);
    start_workers(helpers);
    pool.loop = loop;
    pool.generation++;
    pool.invited = helpers;
    pthread_cond_broadcast(&pool.begin);
    pthread_mutex_unlock(&pool.lock);
    take_tasks(loop);
    pthread_mutex_lock(&pool.lock);
    pool.loop = NULL; /* nobody joins any more */
    while (pool.working > 0)
        pthread_cond_wait(&pool.end, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

static void run(void *context, size_t tasks, void (*task)(void *, size_t), void *argument) {
    int threads = (int)(intptr_t)context;
    task_loop loop = {task, argument, tasks, 0};
    size_t helpers = (size_t)threads - 1 < tasks - 1 ? (size_t)threads - 1 : tasks - 1;
    if (tasks > 1 && helpers > 0 && pthread_mutex_trylock(&pool.busy) == 0) {
        share(&loop, (int)helpers);
        pthread_mutex_unlock(&pool.busy);
    } else {
        take_tasks(&loop);
    }
}

focal_parallel pool_parallel(int threads) {
    if (threads < 1)
        threads = 1;
    if (threads > POOL_MOST_THREADS)
        threads = POOL_MOST_THREADS;
    focal_parallel parallel = {sizeof parallel, (void *)(intptr_t)threads, run};
    return parallel;
}
