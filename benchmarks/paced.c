/* Sends requests at a constant rate, so that the latencies of a slow server are not hidden.
 *
 * The time of a request starts when it is due, not when a connection is free to send it. In C,
 * because the back end shares the core: a slower sender would delay the answers, the more the
 * faster a gateway is, and its own delays would count as the gateway's.
 *
 * `paced PORT RATE SECONDS FILE` prints p50 and p99 in milliseconds. The requests of the file are
 * sent in turn; each stands after its length in eight digits.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 32, PATIENCE_S = 20, LENGTH_DIGITS = 8, BUFFER_BYTES = 1 << 16 };
static const char LAST_CHUNK[] = "0\r\n\r\n";

/* A kept connection with at most one request in progress. */
struct connection {
    int fd;
    double due_s;
    bool has_head, is_chunked;
    long left; /* the body bytes to come, unless it is chunked */
    size_t kept; /* the bytes of the head so far, or the end of a chunked body */
    char text[BUFFER_BYTES];
};

struct request {
    const char *text;
    size_t size;
};

static struct connection connections[CONNECTIONS];
static struct connection *idle[CONNECTIONS]; /* a ring: the one that has waited longest is next */
static size_t first_idle, idle_count;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        fail("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* Reads the requests of a file; returns how many there are. */
static size_t read_requests(const char *path, struct request **found) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        fail(path);
    long size = ftell(file);
    char *text = malloc((size_t)size + 1), *end = text + size;
    rewind(file);
    if (fread(text, 1, (size_t)size, file) != (size_t)size)
        fail(path);
    fclose(file);
    size_t count = 0, room = 0;
    for (char *at = text; at + LENGTH_DIGITS <= end;) {
        if (count == room)
            *found = realloc(*found, (room = room * 2 + 64) * sizeof **found);
        char digits[LENGTH_DIGITS + 1] = {0};
        memcpy(digits, at, LENGTH_DIGITS);
        (*found)[count] = (struct request){at + LENGTH_DIGITS, strtoul(digits, NULL, 10)};
        at += LENGTH_DIGITS + (*found)[count++].size;
    }
    return count;
}

static void send_all(struct connection *one, struct request request, double due_s) {
    one->due_s = due_s;
    one->has_head = false;
    one->kept = 0;
    while (request.size) {
        ssize_t sent = send(one->fd, request.text, request.size, MSG_NOSIGNAL);
        if (sent < 0)
            fail("the gateway takes no request");
        request.text += sent;
        request.size -= (size_t)sent;
    }
}

/* Takes the head at the start of the text; returns false if it is not complete. */
static bool take_head(struct connection *one) {
    one->text[one->kept] = 0;
    char *end = strstr(one->text, "\r\n\r\n");
    if (!end)
        return false;
    end[2] = 0;
    char *length = strcasestr(one->text, "\r\ncontent-length:");
    one->has_head = true;
    one->is_chunked = length == NULL;
    size_t body = one->kept - (size_t)(end + 4 - one->text);
    one->left = length ? atol(length + strlen("\r\ncontent-length:")) - (long)body : 0;
    memmove(one->text, end + 4, body);
    one->kept = body;
    return true;
}

/* Reads the available bytes; returns true if the response is complete. */
static bool has_all(struct connection *one) {
    ssize_t size = recv(one->fd, one->text + one->kept, BUFFER_BYTES - 1 - one->kept, 0);
    if (size <= 0) {
        errno = size ? errno : ECONNRESET;
        fail("the gateway closed a connection");
    }
    one->kept += (size_t)size;
    if (!one->has_head) {
        if (!take_head(one))
            return false;
    } else {
        one->left -= size;
    }
    if (!one->is_chunked) {
        one->kept = 0;
        return one->left <= 0;
    }
    size_t last = strlen(LAST_CHUNK);
    if (one->kept > last) {
        memmove(one->text, one->text + one->kept - last, last);
        one->kept = last;
    }
    return one->kept == last && !memcmp(one->text, LAST_CHUNK, last);
}

static int by_size(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

/* Returns the value that a share of the sorted latencies do not exceed. */
static double quantile(const double *sorted, size_t count, double share) {
    double at = share * (double)(count + 1) - 1;
    size_t low = at < 0 ? 0 : (size_t)at;
    if (low >= count - 1)
        return sorted[count - 1];
    return sorted[low] + (sorted[low + 1] - sorted[low]) * (at < 0 ? 0 : at - (double)low);
}

/* Sends all requests at their times; writes their latencies, in milliseconds. */
static void run(double rate, size_t total, double *latencies_ms, const struct request *requests,
                size_t request_count, int epoll) {
    size_t sent = 0, answered = 0;
    double started_s = now_s(), until_s = started_s + (double)total / rate + PATIENCE_S;
    while (answered < total) {
        double wait_s = PATIENCE_S;
        while (sent < total && idle_count) {
            double due_s = started_s + (double)sent / rate;
            if ((wait_s = due_s - now_s()) > 0)
                break;
            send_all(idle[first_idle], requests[sent++ % request_count], due_s);
            first_idle = (first_idle + 1) % CONNECTIONS;
            idle_count--;
            wait_s = PATIENCE_S;
        }
        struct timespec patience = {(time_t)wait_s, (long)((wait_s - (double)(time_t)wait_s) * 1e9)};
        struct epoll_event ready[CONNECTIONS];
        int count = epoll_pwait2(epoll, ready, CONNECTIONS, &patience, NULL);
        for (int number = 0; number < count; number++) {
            struct connection *one = ready[number].data.ptr;
            if (has_all(one)) {
                latencies_ms[answered++] = (now_s() - one->due_s) * 1e3;
                idle[(first_idle + idle_count++) % CONNECTIONS] = one;
            }
        }
        if (now_s() > until_s) {
            fprintf(stderr, "%zu of %zu requests were answered\n", answered, total);
            exit(1);
        }
    }
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: paced PORT RATE SECONDS FILE\n");
        return 2;
    }
    double rate = atof(arguments[2]);
    size_t total = (size_t)(rate * atof(arguments[3]));
    total = total < 2 ? 2 : total;
    struct request *requests = NULL;
    size_t request_count = read_requests(arguments[4], &requests);
    double *latencies_ms = calloc(total, sizeof *latencies_ms);
    int epoll = epoll_create1(0);
    for (size_t number = 0; number < CONNECTIONS; number++) {
        struct connection *one = idle[idle_count++] = &connections[number];
        one->fd = connect_to(atoi(arguments[1]));
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = one}};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, one->fd, &event))
            fail("epoll");
    }
    prctl(PR_SET_TIMERSLACK, 1UL); /* nanosecond, instead of 50 microseconds */
    run(rate, total, latencies_ms, requests, request_count, epoll);
    qsort(latencies_ms, total, sizeof *latencies_ms, by_size);
    printf("%.3f %.3f\n", quantile(latencies_ms, total, 0.5), quantile(latencies_ms, total, 0.99));
    return 0;
}
