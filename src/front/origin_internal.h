/* What the files behind origin.h share.
 *
 * A question has up to ATTEMPTS_MAX attempts: messages sent to a server over a channel (a UDP
 * socket or a TCP connection), each found by channel and identifier when something comes. Attempts
 * live as long as their question: the answer of a server that is late still counts.
 */
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include "front/failure_memory.h"
#include "front/origin.h"
#include "front/origin_message.h"
#include "front/random_buffer.h"
#include "front/timer_wheel.h"

/* Messages that a question has in flight at once, and all that are ever sent for it: a few servers,
 * each once more in another way. */
#define ATTEMPTS_MAX 4
#define MESSAGES_MAX 10

/* Messages by one system call. More gains little, fewer cost a call each at full load. */
#define UDP_BATCH 32

/* A datagram of more than this is not what we announced; it is taken for truncated. */
#define DATAGRAM_SIZE_MAX 4096

/* Messages that were given up, remembered to know their late answers from guesses: 64 KiB. */
#define LATE_SLOTS 8192

#define NAME_BITS_SIZE ((NAME_SIZE_MAX + 7) / 8)

struct question;

union origin_address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    struct sockaddr_storage storage;
};

/* Where messages leave and come: what epoll points at. */
struct channel {
    int fd;
    bool is_stream;
    uint32_t number;    /* never used twice */
    unsigned in_flight; /* attempts */
    unsigned answered;
};

struct udp_socket {
    struct channel channel;
    unsigned asks_left; /* until another port takes its place */
    struct udp_socket *next_retired;
};

/* Messages that leave together, from one socket: the port is drawn for each batch. */
struct udp_batch {
    unsigned count;
    struct udp_socket *socket;
    struct mmsghdr messages[UDP_BATCH];
    struct iovec vectors[UDP_BATCH];
    uint8_t wires[UDP_BATCH][ORIGIN_QUERY_SIZE_MAX];
};

struct udp_family {
    unsigned count; /* of sockets; 0: no server of this family yet */
    struct udp_socket **sockets;
    struct udp_socket *retired; /* closed when nothing is in flight any more */
    struct udp_batch batch;
};

struct udp_inbox {
    unsigned ready_from; /* messages before are to be made ready */
    struct mmsghdr messages[UDP_BATCH];
    struct iovec vectors[UDP_BATCH];
    union origin_address from[UDP_BATCH];
    _Alignas(struct cmsghdr) uint8_t controls[UDP_BATCH][CMSG_SPACE(sizeof(int))];
    uint8_t wires[UDP_BATCH][DATAGRAM_SIZE_MAX];
};

struct tcp_connection {
    struct channel channel;
    struct server *server;
    struct tcp_connection *next; /* of the server */
    struct wheel_timer timer;    /* idle, or hung */
    struct attempt *attempts;
    bool is_connected, waits_to_write;
    bool is_hung; /* a question timed out on it: others go elsewhere until a message comes */
    size_t out_begin, out_end, in_end;
    uint8_t *out, *in;
};

/* One address, whoever names it. */
struct server {
    struct server *next;
    unsigned users; /* groups */
    uint64_t salt;  /* tells its failures from other servers' */
    union origin_address address;
    socklen_t address_size;

    /* Of datagrams, in microseconds; sampled once there is one. */
    bool is_sampled;
    int64_t rtt_us, variation_us, p95_us;

    /* In a row, without any answer between; the back-off is 0 while it is not given up. */
    unsigned timeouts_in_row;
    int64_t answered_ms;
    int64_t backoff_ms, down_until_ms;

    uint8_t cookie[CLIENT_COOKIE_SIZE];
    uint8_t server_cookie[SERVER_COOKIE_SIZE_MAX];
    uint8_t server_cookie_size; /* 0: it has shown none */

    unsigned case_losses, cookie_losses, edns_losses; /* in a row */
    int64_t no_case_until_ms, no_edns_until_ms;
    int64_t guess_window_ms; /* a second in which mismatches are counted */
    unsigned guesses;
    int64_t tcp_only_until_ms;

    struct tcp_connection *connections;
    unsigned connection_count;
    unsigned questions_max; /* on one connection, until it is closed */
    int64_t tcp_down_until_ms;

    uint64_t asked, answered, late, timeouts, refused, mismatches, truncated, over_tcp, hedges;
};

struct member {
    struct server *server;
    double failing; /* share of bad answers to this group, smoothed */
};

struct origin_group {
    struct origin_pool *pool;
    struct origin_group *next;
    uint8_t apex[NAME_SIZE_MAX]; /* lower case */
    size_t apex_size;
    unsigned member_count;
    struct member members[ORIGIN_SERVERS_MAX];
    struct question *questions;
    unsigned in_flight;
    unsigned rate_max;
    double tokens;
    int64_t tokens_us; /* when they were counted */
    double hedge_credit;
};

struct attempt {
    struct attempt *next, **previous; /* of its bucket; previous NULL: not in flight */
    struct attempt *connection_next, **connection_previous;
    struct question *question;
    struct channel *channel;
    struct server *server;
    int64_t sent_us;
    unsigned patience_ms; /* then it is a timeout */
    uint16_t id;
    uint8_t member;
    bool has_case, has_edns, needs_cookie, is_counted, is_doubted;
};

struct question {
    struct question *next, **previous; /* of its group; next is also the free list's */
    struct wheel_timer timer;
    struct origin_group *group;
    void (*done)(void *context, int code, const uint8_t *message, size_t size);
    void *context;
    uint64_t key; /* hash of what is asked */
    int64_t deadline_ms;
    uint32_t tried, failed; /* members, by bit */
    uint16_t type;
    uint8_t message_count, badcookies, rounds;
    bool dnssec_ok, checking_disabled, was_answered;
    bool is_plain;                      /* without EDNS, as one server wanted it */
    bool is_due_again, is_due_over_tcp; /* to be sent to due_member when there is room */
    uint8_t due_member;
    uint8_t client_subnet_size;
    uint8_t client_subnet[CLIENT_SUBNET_SIZE_MAX];
    uint8_t name_size;
    uint8_t case_bits[NAME_BITS_SIZE];
    uint8_t name[NAME_SIZE_MAX]; /* lower case */
    struct attempt attempts[ATTEMPTS_MAX];
};

/* Descriptors at a time; the set says again what is left. */
#define EVENTS_MAX 64

struct origin_pool {
    struct origin_options options;
    int epoll_fd;
    struct epoll_event events[EVENTS_MAX]; /* of a wait; data.ptr NULL: who waits is to wake */
    int event_count;
    bool has_waited;        /* the events are yet to be taken */
    int64_t now_us, now_ms; /* CLOCK_MONOTONIC, of this round of work */
    uint32_t channels_made;
    struct random_buffer random;
    struct timer_wheel wheel;
    struct failure_memory failures;
    struct record_reader *reader;
    struct server *servers;
    struct origin_group *groups;
    struct question *questions, *free_questions; /* all, and those not in use */
    unsigned free_count;
    struct attempt **buckets; /* by channel and identifier */
    uint32_t bucket_mask;
    uint64_t late[LATE_SLOTS];
    struct udp_family families[2]; /* IPv4, IPv6 */
    struct udp_inbox inbox;
    unsigned connection_count;
    struct origin_counters counters;
};

void origin_clock(struct origin_pool *pool);

/* ---- origin_server.c: what is known of a server ---- */

struct server *server_use(struct origin_pool *pool, const struct sockaddr_storage *address);
void server_release(struct origin_pool *pool, struct server *server); /* no attempt is left */
bool address_equal(const union origin_address *one, const union origin_address *other);

/* How long to wait for it before another one is asked as well, and before it is a timeout. */
unsigned server_hedge_ms(const struct server *server);
unsigned server_patience_ms(const struct server *server);

/* Lower is better. */
double server_score(const struct server *server);
bool server_is_down(const struct server *server);

void server_measured(struct server *server, int64_t rtt_us);
void server_outwaited(struct server *server, int64_t waited_us); /* another one was faster */
void server_answered(struct server *server, int64_t now_ms);
void server_timed_out(struct server *server, int64_t now_ms);

/* One that is down is asked something: not again before a longer time, unless it answers. */
void server_probed(struct server *server, int64_t now_ms);

/* A message from its address that answers nothing in flight. */
void server_guessed_at(struct server *server, int64_t now_ms);

/* Case, cookie or EDNS were lost: often enough in a row the server is not asked for it any more for
 * a time. */
void server_lost_case(struct server *server, int64_t now_ms);
void server_lost_cookie(struct server *server);
void server_lost_edns(struct server *server, int64_t now_ms);
void server_has_no_case(struct server *server, int64_t now_ms);
void server_kept_cookie(struct server *server, const struct origin_reading *reading);

/* ---- origin_udp.c ---- */

_must_check_ int udp_family_open(struct origin_pool *pool, sa_family_t family);
void udp_close(struct origin_pool *pool);

/* A place in the next batch: the wire to write to, and the socket it will leave from. */
struct channel *udp_reserve(struct origin_pool *pool, const struct server *server,
                            uint8_t **ret_wire);
void udp_queue(struct origin_pool *pool, const struct server *server, size_t size);
bool udp_has_queued(const struct origin_pool *pool);
void udp_flush(struct origin_pool *pool);
void udp_receive(struct origin_pool *pool, struct udp_socket *socket);
void udp_close_retired(struct origin_pool *pool);

/* ---- origin_tcp.c ---- */

/* Whether no connection could be made lately. */
bool tcp_is_down(const struct origin_pool *pool, const struct server *server);

/* A connection that takes one question more, with room for its message; NULL: none can be had. */
struct tcp_connection *tcp_connection_get(struct origin_pool *pool, struct server *server);
void tcp_queue(struct tcp_connection *connection, const uint8_t *wire, size_t size);
bool tcp_has_queued(const struct origin_pool *pool);
void tcp_flush(struct origin_pool *pool);
void tcp_ready(struct origin_pool *pool, struct tcp_connection *connection, uint32_t events);

/* Closes a connection; what is in flight on it is asked in another way. */
void tcp_close(struct origin_pool *pool, struct tcp_connection *connection);

/* ---- origin_attempt.c ---- */

bool attempt_is_free(const struct attempt *attempt);
struct attempt *attempt_find(const struct origin_pool *pool, const struct channel *channel,
                             const union origin_address *from /* NULL: any */, uint16_t id);
int64_t attempt_waited_us(const struct origin_pool *pool, const struct attempt *attempt);

/* Whether a message that matches nothing in flight is the answer to one that was given up lately.
 * It is so once. */
bool attempt_was_given_up(struct origin_pool *pool, const struct channel *channel,
                          const struct server *server, uint16_t id);

/* Sends the question to one server. NULL: not possible now. */
struct attempt *attempt_send(struct origin_pool *pool, struct question *question, unsigned member,
                             bool is_over_tcp);

/* Counts the timeout, once, if it is one. */
void attempt_count_timeout(struct origin_pool *pool, struct attempt *attempt);

/* Takes it out of flight; close: without an answer, when its question ends with `code`, and what
 * that says of the server is noted. */
void attempt_unlink(struct attempt *attempt);
void attempt_close(struct origin_pool *pool, struct attempt *attempt, int code);

/* The name in the letter case of the message. */
void question_name_sent(const struct question *question, bool has_case, uint8_t *ret_name);

/* ---- origin_answer.c ---- */

/* Something has come; `is_cut`: not all of it, or in fragments. The octets may be changed. */
struct arrival {
    struct channel *channel;
    const union origin_address *from; /* NULL: the other end of the connection */
    uint8_t *wire;
    size_t size;
    bool is_cut;
};
void question_arrival(struct origin_pool *pool, const struct arrival *arrival);

/* ---- origin_question.c: the life of a question ---- */

void question_timer_due(void *context, struct wheel_timer *timer); /* context: the pool */

/* One server has no good answer: the next one is asked. */
void question_failed_at(struct origin_pool *pool, struct question *question, unsigned member,
                        const uint8_t *message, size_t size);

/* Asks the same server once more, in another way. */
void question_ask_again(struct origin_pool *pool, struct question *question, unsigned member,
                        bool is_over_tcp);

/* The connection of an attempt is gone. `is_same_again`: another one to the same server is worth
 * it. */
void attempt_lost(struct origin_pool *pool, struct attempt *attempt, bool is_same_again);

/* Ends a question: done() is called after nothing refers to it any more. */
void question_end(struct origin_pool *pool, struct question *question, int code,
                  const uint8_t *message, size_t size);

/* ---- origin_group.c: which server is asked ---- */

/* The best member whose bit is not in `excluded`; -1: none. */
int group_choose(struct origin_group *group, const struct question *question, uint32_t excluded);

/* A member that was given up and whose time to be tried again has come; -1: none. */
int group_probe(struct origin_group *group);

bool group_may_send(struct origin_group *group);  /* takes a token of the rate */
bool group_may_hedge(struct origin_group *group); /* takes a share of the credit */
void group_asked(struct origin_group *group);     /* gives a share of it */

/* The member's answer was good or not; it gave none to any message. */
void group_judged(struct origin_group *group, const struct question *question, unsigned index,
                  bool is_good);
void group_ignored(struct origin_group *group, const struct question *question, unsigned index);
