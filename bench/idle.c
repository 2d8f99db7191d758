// idle: opens N SMTP connections, waits for each one's greeting and reply to EHLO, prints a line of JSON and holds them
// until it is killed. For the memory of idle connections.
//
// cc -O2 -Wall -Wextra -o idle idle.c
#include "smtp.h"

struct peer {
    int fd, step;          // step: 0 greeting due, 1 reply to EHLO due, 2 idle
    char input[1024];
    size_t length;
};

static int failed, settled, idle;

static void advance(struct peer *peer)
{
    ssize_t got = recv(peer->fd, peer->input + peer->length, sizeof peer->input - peer->length, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN)
            return;
        failed++;
        if (peer->step == 2)
            idle--;
        else
            settled++;
        close(peer->fd);
        return;
    }
    peer->length += (size_t)got;
    int code;
    size_t used = whole_reply(peer->input, peer->length, &code);
    if (!used)
        return;
    peer->length = 0;
    if (peer->step == 0 && code == 220) {
        static const char hello[] = "EHLO idle.example\r\n";
        peer->step = 1;
        (void)!send(peer->fd, hello, sizeof hello - 1, MSG_NOSIGNAL);
    } else if (peer->step == 1 && code == 250) {
        peer->step = 2;
        idle++;
        settled++;
    } else {
        failed++;
        settled++;
        close(peer->fd);
    }
}

int main(int count, char **values)
{
    int port = 2525, wanted = 5000, window = 200, opened = 0, option;
    while ((option = getopt(count, values, "p:n:")) != -1)
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'n': wanted = atoi(optarg); break;
        default: fprintf(stderr, "idle [-p port] [-n connections]\n"); return 2;
        }
    raise_file_limit();
    struct sockaddr_in server = loopback(port);
    struct peer *peers = calloc((size_t)wanted, sizeof *peers);
    int epoll = epoll_create1(0);
    double began = seconds_now();
    bool told = false;
    for (;;) {
        while (opened < wanted && opened - settled < window) {
            struct peer *peer = &peers[opened++];
            peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            if (peer->fd < 0)
                die("socket");
            if (connect(peer->fd, (void *)&server, sizeof server) < 0 && errno != EINPROGRESS)
                die("connect");
            watch(epoll, EPOLL_CTL_ADD, peer->fd, EPOLLIN, peer);
        }
        if (!told && (settled == wanted || seconds_now() - began > 60)) {
            printf("{\"idle\":%d,\"failed\":%d,\"seconds\":%.2f}\n", idle, failed, seconds_now() - began);
            fflush(stdout);
            told = true;
        }
        struct epoll_event events[128];
        int ready = epoll_wait(epoll, events, 128, 1000);
        for (int i = 0; i < ready; i++)
            advance(events[i].data.ptr);
    }
}
