// What load.c, sink.c and idle.c share: a clock, percentiles, sockets on loopback and whole-reply reading.
#ifndef QUORUMAIL_BENCH_SMTP_H
#define QUORUMAIL_BENCH_SMTP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Seconds of the monotonic clock.
static inline double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Nanoseconds of the monotonic clock: the same for all processes of this machine, so sender and sink can compare.
static inline int64_t nanoseconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// User and system time of this process, in seconds.
static inline double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

_Noreturn static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

// A growing list of samples, in milliseconds.
struct samples {
    double *values;
    size_t count, capacity;
};

static inline void samples_add(struct samples *list, double value)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 65536;
        list->values = realloc(list->values, list->capacity * sizeof *list->values);
        if (!list->values)
            die("realloc");
    }
    list->values[list->count++] = value;
}

static inline int samples_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static inline void samples_sort(struct samples *list)
{
    if (list->count)
        qsort(list->values, list->count, sizeof *list->values, samples_compare);
}

// The value below which the given share (0..1) of a sorted list lies; 0 for an empty one.
static inline double samples_quantile(const struct samples *list, double share)
{
    return list->count ? list->values[(size_t)(share * (double)(list->count - 1) + 0.5)] : 0;
}

static inline struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline void watch(int epoll, int operation, int fd, uint32_t events, void *owner)
{
    struct epoll_event event = {.events = events, .data.ptr = owner};
    if (epoll_ctl(epoll, operation, fd, &event) < 0)
        die("epoll_ctl");
}

static inline void no_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// Lets this process hold as many connections as the system allows.
static inline void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// Looks for the end of one whole reply in text[0..length). Returns the bytes that it takes and its code, or 0 while the
// last line ("250 ", not "250-") has not come yet.
static inline size_t whole_reply(const char *text, size_t length, int *code)
{
    size_t at = 0;
    for (;;) {
        const char *newline = memchr(text + at, '\n', length - at);
        if (!newline)
            return 0;
        size_t line = at;
        at = (size_t)(newline - text) + 1;
        if (at - line >= 4 && text[line + 3] == '-')
            continue;
        *code = at - line >= 3 ? (text[line] - '0') * 100 + (text[line + 1] - '0') * 10 + text[line + 2] - '0' : 0;
        return at;
    }
}

#endif
