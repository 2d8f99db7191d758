/* Shifts the wall clock of one process while it runs, and nothing else: monotonic time goes on. The kernel has time
 * namespaces for the monotonic clocks only (time_namespaces(7)), so this stands between the process and libc (LD_PRELOAD).
 * CLOCK_SHIFT names a file of 8 bytes, the nanoseconds to be added; writing to it is the clock's jump. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static volatile long long none;
static volatile long long *shift = &none;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_clockwait)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
static int (*real_semwait)(sem_t *, const struct timespec *);

static void find(void)
{
    if (!real_gettime)
        real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CLOCK_SHIFT");
    int file;
    find();
    /* x86-64 has an older version of it as well, which is not meant. */
    real_timedwait = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real_timedwait)
        real_timedwait = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    real_clockwait = (int (*)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *))dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    real_semwait = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
    if (path && (file = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        void *page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
        if (page != MAP_FAILED)
            shift = page;
        close(file);
    }
}

static struct timespec plus(struct timespec time, long long nanoseconds)
{
    long long sum = time.tv_sec * SECOND + time.tv_nsec + nanoseconds;
    time.tv_sec = sum / SECOND;
    time.tv_nsec = sum % SECOND;
    return time;
}

/* A time after 2001 is one of the wall clock; a monotonic one counts from the machine's start. */
static struct timespec real(const struct timespec *until)
{
    return until->tv_sec > 1000000000 ? plus(*until, -*shift) : *until;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result;
    find();
    result = real_gettime(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        *time = plus(*time, *shift);
    return result;
}

int gettimeofday(struct timeval *time, void *zone)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}

/* Who waits until a moment of the shifted clock waits until the same moment of the kernel's. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    struct timespec moment = real(until);
    return real_timedwait(condition, mutex, &moment);
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    struct timespec moment = clock == CLOCK_REALTIME ? real(until) : *until;
    return real_clockwait(condition, mutex, clock, &moment);
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
    struct timespec moment = real(until);
    return real_semwait(semaphore, &moment);
}
