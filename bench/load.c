// load: closed-loop SMTP load with latencies, one thread, epoll. Never the bottleneck, and honest: every message has an
// id and a body of its own out of random text, every 250 after the final dot is written down, and a latency runs from
// MAIL to that 250. Commands go one at a time, as smtp-source sends them; -P pipelines MAIL, RCPT and DATA.
//
// cc -O2 -Wall -Wextra -o load load.c
//
// Prints one line of JSON: messages, seconds, rate (1/s), errors, p50_ms, p99_ms, max_ms, client_cpu_us (a message).
#include "smtp.h"

enum { INPUT_SIZE = 4096, COMMAND_SIZE = 1024, POOL_SIZE = 1 << 20, LINE_LENGTH = 76, PORTS_MAX = 16 };

enum state { CLOSED, CONNECTING, GREETING, HELLO, MAIL, RCPT, DATA, BODY, QUIT };

struct session {
    int fd;
    enum state state;
    long sequence;           // of the message under way
    long sent_here;          // messages on this connection
    double started;          // seconds, when MAIL was sent
    int replies_due;         // in this state, when pipelining
    char input[INPUT_SIZE];
    size_t input_length;
    char command[COMMAND_SIZE];
    const char *output[3];   // what is still to be sent, piece by piece
    size_t output_length[3];
    int pieces, piece;
    size_t offset;
    bool wants_write;
};

static struct {
    int ports[PORTS_MAX], port_count, sessions, per_connection;
    long messages;
    double duration;
    size_t length;
    bool pipelining;
    const char *sender, *recipient, *acknowledged_path;
} options = {.ports = {2525}, .port_count = 1, .sessions = 1, .duration = 5, .length = 4096,
    .sender = "sender@load.example", .recipient = "recipient@sink.example"};

static int epoll;
static char pool[POOL_SIZE + 2 * LINE_LENGTH];
static char tag[48];
static long started, acknowledged, errors;
static double ends;
static struct samples latencies;
static FILE *acknowledged_file;
static struct session *sessions;

static void open_session(struct session *session);

// Random text in lines of 76 characters, none of which begins with a dot.
static void fill_pool(void)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t random = (uint64_t)nanoseconds_now() | 1;
    for (size_t i = 0; i < sizeof pool; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t column = i % (LINE_LENGTH + 2);
        pool[i] = column == LINE_LENGTH ? '\r' : column == LINE_LENGTH + 1 ? '\n' : alphabet[random >> 58];
    }
}

static bool may_start(void)
{
    return options.messages ? started < options.messages : seconds_now() < ends;
}

static void close_session(struct session *session, bool reopen)
{
    close(session->fd);
    session->fd = -1;
    session->state = CLOSED;
    if (reopen && may_start())
        open_session(session);
}

static void fail(struct session *session, const char *what)
{
    if (++errors <= 5)
        fprintf(stderr, "load: %s in state %d: %.*s (%s)\n", what, (int)session->state,
            (int)(session->input_length > 200 ? 200 : session->input_length), session->input, strerror(errno));
    if (errors > 1000) {
        fprintf(stderr, "load: too many errors\n");
        exit(1);
    }
    close_session(session, true);
}

static void set_write_interest(struct session *session, bool wanted)
{
    if (session->wants_write != wanted) {
        session->wants_write = wanted;
        watch(epoll, EPOLL_CTL_MOD, session->fd, EPOLLIN | (wanted ? EPOLLOUT : 0), session);
    }
}

static void flush_output(struct session *session)
{
    while (session->piece < session->pieces) {
        const char *from = session->output[session->piece] + session->offset;
        size_t rest = session->output_length[session->piece] - session->offset;
        int more = session->piece + 1 < session->pieces ? MSG_MORE : 0;
        ssize_t sent = send(session->fd, from, rest, MSG_NOSIGNAL | more);
        if (sent < 0) {
            if (errno == EAGAIN)
                set_write_interest(session, true);
            else
                fail(session, "send");
            return;
        }
        session->offset += (size_t)sent;
        if (session->offset == session->output_length[session->piece]) {
            session->piece++;
            session->offset = 0;
        }
    }
    set_write_interest(session, false);
}

static void say(struct session *session, enum state state, int length)
{
    session->state = state;
    session->output[0] = session->command;
    session->output_length[0] = (size_t)length;
    session->pieces = 1;
    session->piece = 0;
    session->offset = 0;
    flush_output(session);
}


#define SAY(session, state, ...) say(session, state, snprintf((session)->command, COMMAND_SIZE, __VA_ARGS__))

// Sends the header (with id, size and time, which sink.c reads) and a window of the pool as the body.
static void send_body(struct session *session)
{
    int header = snprintf(session->command, COMMAND_SIZE,
        "From: <%s>\r\nTo: <%s>\r\nDate: Thu, 01 Oct 2026 12:00:00 +0000\r\nSubject: bench\r\n"
        "Message-ID: <%s-%ld@load.example>\r\nX-Bench-Id: %s-%ld %lld\r\n\r\n",
        options.sender, options.recipient, tag, session->sequence, tag, session->sequence,
        (long long)nanoseconds_now());
    size_t line = LINE_LENGTH + 2;
    size_t body = options.length > (size_t)header + line ? options.length - (size_t)header : line;
    body -= body % line;
    size_t first = ((size_t)session->sequence * 7919 % ((POOL_SIZE - body) / line)) * line;
    session->state = BODY;
    session->output[0] = session->command;
    session->output_length[0] = (size_t)header;
    session->output[1] = pool + first;
    session->output_length[1] = body;
    session->output[2] = ".\r\n";
    session->output_length[2] = 3;
    session->pieces = 3;
    session->piece = 0;
    session->offset = 0;
    flush_output(session);
}

static void next_message(struct session *session)
{
    if (!may_start() || (options.per_connection && session->sent_here >= options.per_connection)) {
        SAY(session, QUIT, "QUIT\r\n");
        return;
    }
    session->sequence = ++started;
    session->started = seconds_now();
    if (options.pipelining)
        SAY(session, MAIL, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", options.sender, options.recipient);
    else
        SAY(session, MAIL, "MAIL FROM:<%s>\r\n", options.sender);
}

static void take_reply(struct session *session, int code)
{
    int wanted = session->state == GREETING ? 220 : session->state == DATA ? 354 : session->state == QUIT ? 221 : 250;
    if (code != wanted) {
        fail(session, "unexpected reply");
        return;
    }
    switch (session->state) {
    case GREETING:
        SAY(session, HELLO, "EHLO load.example\r\n");
        break;
    case HELLO:
        next_message(session);
        break;
    case MAIL:
        session->state = RCPT;
        if (!options.pipelining)
            SAY(session, RCPT, "RCPT TO:<%s>\r\n", options.recipient);
        break;
    case RCPT:
        session->state = DATA;
        if (!options.pipelining)
            SAY(session, DATA, "DATA\r\n");
        break;
    case DATA:
        send_body(session);
        break;
    case BODY:
        samples_add(&latencies, (seconds_now() - session->started) * 1e3);
        acknowledged++;
        session->sent_here++;
        if (acknowledged_file)
            fprintf(acknowledged_file, "%s-%ld\n", tag, session->sequence);
        next_message(session);
        break;
    default:
        close_session(session, true);
    }
}

static void read_replies(struct session *session)
{
    ssize_t got = recv(session->fd, session->input + session->input_length, INPUT_SIZE - session->input_length, 0);
    if (got <= 0) {
        if (got == 0 && session->state == QUIT)
            close_session(session, true);
        else if (got == 0 || errno != EAGAIN)
            fail(session, got == 0 ? "connection closed" : "recv");
        return;
    }
    session->input_length += (size_t)got;
    int fd = session->fd, code = 0;
    size_t used;
    while ((used = whole_reply(session->input, session->input_length, &code)) > 0) {
        take_reply(session, code);
        if (session->fd != fd || session->state == CLOSED || session->state == CONNECTING)
            return;
        session->input_length -= used;
        memmove(session->input, session->input + used, session->input_length);
    }
    if (session->input_length == INPUT_SIZE)
        fail(session, "reply too long");
}

static void open_session(struct session *session)
{
    session->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (session->fd < 0)
        die("socket");
    no_delay(session->fd);
    session->state = CONNECTING;
    session->input_length = 0;
    session->sent_here = 0;
    session->pieces = session->piece = 0;
    session->wants_write = true;
    watch(epoll, EPOLL_CTL_ADD, session->fd, EPOLLIN | EPOLLOUT, session);
    struct sockaddr_in server = loopback(options.ports[(session - sessions) % options.port_count]);
    if (connect(session->fd, (void *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        die("connect");
}

static void handle(struct session *session, uint32_t events)
{
    if (session->fd < 0)
        return;
    if (session->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            errno = error;
            fail(session, "connect");
            return;
        }
        session->state = GREETING;
        set_write_interest(session, false);
    } else if (events & EPOLLOUT) {
        flush_output(session);
    }
    if (session->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        read_replies(session);
}

_Noreturn static void usage(void)
{
    fprintf(stderr, "load [-p port[,port...]] [-s sessions] [-m messages | -T seconds] [-l bytes a message] [-n messages a "
                    "connection, 0: no limit] [-P pipelining] [-f sender] [-t recipient] [-a file for acknowledged ids]\n");
    exit(2);
}

// Sessions are spread over the ports, one after the other.
static void read_ports(char *list)
{
    options.port_count = 0;
    for (char *port = strtok(list, ","); port; port = strtok(NULL, ",")) {
        if (options.port_count == PORTS_MAX)
            usage();
        options.ports[options.port_count++] = atoi(port);
    }
    if (!options.port_count)
        usage();
}

static void read_options(int count, char **values)
{
    int option;
    while ((option = getopt(count, values, "p:s:m:T:l:n:Pf:t:a:")) != -1)
        switch (option) {
        case 'p': read_ports(optarg); break;
        case 's': options.sessions = atoi(optarg); break;
        case 'm': options.messages = atol(optarg); break;
        case 'T': options.duration = atof(optarg); break;
        case 'l': options.length = (size_t)atol(optarg); break;
        case 'n': options.per_connection = atoi(optarg); break;
        case 'P': options.pipelining = true; break;
        case 'f': options.sender = optarg; break;
        case 't': options.recipient = optarg; break;
        case 'a': options.acknowledged_path = optarg; break;
        default: usage();
        }
    if (options.sessions < 1 || options.length > POOL_SIZE / 2)
        usage();
}

int main(int count, char **values)
{
    read_options(count, values);
    raise_file_limit();
    fill_pool();
    snprintf(tag, sizeof tag, "%x.%llx", getpid(), (unsigned long long)nanoseconds_now());
    if (options.acknowledged_path && !(acknowledged_file = fopen(options.acknowledged_path, "w")))
        die(options.acknowledged_path);

    epoll = epoll_create1(0);
    sessions = calloc((size_t)options.sessions, sizeof *sessions);
    double began = seconds_now(), last_event = began;
    ends = began + options.duration;
    for (int i = 0; i < options.sessions; i++)
        open_session(&sessions[i]);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 1000);
        for (int i = 0; i < ready; i++)
            handle(events[i].data.ptr, events[i].events);
        bool live = false;
        for (int i = 0; i < options.sessions && !live; i++)
            live = sessions[i].state != CLOSED;
        if (!live)
            break;
        if (ready > 0)
            last_event = seconds_now();
        else if (seconds_now() - last_event > 60) {
            fprintf(stderr, "load: nothing happened for 60 s\n");
            errors++;
            break;
        }
    }
    double elapsed = seconds_now() - began;
    if (acknowledged_file)
        fclose(acknowledged_file);
    samples_sort(&latencies);
    printf("{\"messages\":%ld,\"seconds\":%.3f,\"rate\":%.1f,\"errors\":%ld,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"max_ms\":%.3f,\"client_cpu_us\":%.1f}\n",
        acknowledged, elapsed, (double)acknowledged / elapsed, errors, samples_quantile(&latencies, 0.5),
        samples_quantile(&latencies, 0.99), samples_quantile(&latencies, 1),
        acknowledged ? cpu_seconds() * 1e6 / (double)acknowledged : 0);
    return errors > 0;
}
