// sink: a next hop that accepts every message and remembers it, one thread, epoll. Where a message carries load.c's
// X-Bench-Id, its id goes to a file and its age (from the sender's MAIL body to here) into percentiles.
//
// cc -O2 -Wall -Wextra -o sink sink.c
//
// The count file holds the messages so far, a 64-bit number in the machine's byte order, always up to date. SIGTERM:
// print one line of JSON and end: messages, connections, bytes, age_p50_ms, age_p99_ms, sink_cpu_us (a message).
// With -q it is a silent next hop: it accepts connections and never greets, so that a sender's queue only grows.
#include "smtp.h"
#include <signal.h>
#include <sys/mman.h>
#include <fcntl.h>

enum { INPUT_SIZE = 65536, OUTPUT_SIZE = 8192 };

struct connection {
    int fd;
    bool in_data, in_header;
    char id[96];
    int64_t sent;          // nanoseconds, 0: no X-Bench-Id seen
    size_t length;
    char input[INPUT_SIZE];
    char output[OUTPUT_SIZE];
    size_t output_length;
};

static volatile sig_atomic_t ending;
static long messages, connections, bytes;
static struct samples ages;
static FILE *ids;
static volatile int64_t *shared_count; // a file in memory that run.sh reads while we work

static void on_term(int signal)
{
    (void)signal;
    ending = 1;
}

static void answer(struct connection *connection, const char *reply)
{
    size_t length = strlen(reply);
    if (connection->output_length + length <= OUTPUT_SIZE) {
        memcpy(connection->output + connection->output_length, reply, length);
        connection->output_length += length;
    }
}

static void take_header(struct connection *connection, const char *line, size_t length)
{
    static const char name[] = "X-Bench-Id: ";
    char text[160];
    if (length < sizeof name || length >= sizeof text || strncasecmp(line, name, sizeof name - 1) != 0)
        return;
    memcpy(text, line, length);
    text[length] = 0;
    long long sent = 0;
    if (sscanf(text + sizeof name - 1, "%95s %lld", connection->id, &sent) == 2)
        connection->sent = sent;
}

static void end_of_message(struct connection *connection)
{
    connection->in_data = false;
    messages++;
    *shared_count = messages;
    if (connection->sent) {
        samples_add(&ages, (double)(nanoseconds_now() - connection->sent) * 1e-6);
        if (ids)
            fprintf(ids, "%s\n", connection->id);
    }
    answer(connection, "250 2.0.0 ok\r\n");
}

// Handles one line; returns false when the connection is to be closed.
static bool take_line(struct connection *connection, const char *line, size_t length)
{
    if (connection->in_data) {
        if (length == 3 && memcmp(line, ".\r\n", 3) == 0)
            end_of_message(connection);
        else if (connection->in_header && length <= 2)
            connection->in_header = false;
        else if (connection->in_header)
            take_header(connection, line, length);
        return true;
    }
    if (strncasecmp(line, "EHLO", 4) == 0) {
        answer(connection, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
                           "250-ENHANCEDSTATUSCODES\r\n250 SIZE 104857600\r\n");
    } else if (strncasecmp(line, "DATA", 4) == 0) {
        connection->in_data = connection->in_header = true;
        connection->sent = 0;
        answer(connection, "354 go ahead\r\n");
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        answer(connection, "221 2.0.0 bye\r\n");
        return false;
    } else {
        answer(connection, "250 2.0.0 ok\r\n");
    }
    return true;
}

// Returns false when the connection is over.
static bool serve(struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->input + connection->length, INPUT_SIZE - connection->length, 0);
    if (got < 0 && errno == EAGAIN)
        return true;
    if (got <= 0)
        return false;
    bytes += got;
    connection->length += (size_t)got;
    bool open = true;
    size_t at = 0;
    while (open) {
        const char *newline = memchr(connection->input + at, '\n', connection->length - at);
        if (!newline)
            break;
        size_t length = (size_t)(newline - (connection->input + at)) + 1;
        open = take_line(connection, connection->input + at, length);
        at += length;
    }
    connection->length -= at;
    memmove(connection->input, connection->input + at, connection->length);
    if (connection->length == INPUT_SIZE)
        return false; // a line of 64 KiB is nothing that a mail server may send
    if (connection->output_length) {
        ssize_t sent = send(connection->fd, connection->output, connection->output_length, MSG_NOSIGNAL);
        if (sent != (ssize_t)connection->output_length)
            return false;
        connection->output_length = 0;
    }
    return open;
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = loopback(port);
    if (bind(fd, (void *)&address, sizeof address) < 0)
        die("bind");
    listen(fd, 4096);
    return fd;
}

static void share_count(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || ftruncate(fd, sizeof *shared_count) < 0)
        die(path);
    shared_count = mmap(NULL, sizeof *shared_count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared_count == MAP_FAILED)
        die("mmap");
    close(fd);
}

static void accept_all(int listener, int epoll, bool silent)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        no_delay(fd);
        struct connection *connection = calloc(1, sizeof *connection);
        connection->fd = fd;
        connections++;
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, connection);
        static const char greeting[] = "220 sink.example ESMTP\r\n";
        if (!silent && send(fd, greeting, sizeof greeting - 1, MSG_NOSIGNAL) < 0)
            continue; // the next read tells the same
    }
}

int main(int count, char **values)
{
    int port = 2600, option;
    bool silent = false;
    const char *count_path = NULL;
    while ((option = getopt(count, values, "p:c:i:q")) != -1)
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'c': count_path = optarg; break;
        case 'q': silent = true; break;
        case 'i': ids = fopen(optarg, "w"); break;
        default: count_path = NULL; optind = count;
        }
    if (!count_path) {
        fprintf(stderr, "sink -c file that holds the count (64 bits) [-p port] [-i file for ids] [-q]\n");
        return 2;
    }
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    raise_file_limit();
    share_count(count_path);
    int listener = listen_on(port), epoll = epoll_create1(0);
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    while (!ending) {
        struct epoll_event events[128];
        int ready = epoll_wait(epoll, events, 128, 500);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection) {
                accept_all(listener, epoll, silent);
            } else if (!serve(connection)) {
                if (connection->output_length)
                    (void)!send(connection->fd, connection->output, connection->output_length, MSG_NOSIGNAL);
                close(connection->fd);
                free(connection);
            }
        }
    }
    if (ids)
        fclose(ids);
    samples_sort(&ages);
    printf("{\"messages\":%ld,\"connections\":%ld,\"bytes\":%ld,\"age_p50_ms\":%.2f,\"age_p99_ms\":%.2f,"
           "\"sink_cpu_us\":%.1f}\n", messages, connections, bytes, samples_quantile(&ages, 0.5),
        samples_quantile(&ages, 0.99), messages ? cpu_seconds() * 1e6 / (double)messages : 0);
    return 0;
}
