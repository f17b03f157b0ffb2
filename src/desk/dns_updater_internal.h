/* What the files of the updater share; see dns_updater.h for what it is. Everything but what stands
 * under `lock` belongs to the updater's thread. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "desk/dns_updater.h"
#include "dns/name.h"
#include "dns/record_reader.h"
#include "zone/tsig_client.h"

/* Of an UPDATE message, without its signature: some 250 changes of one address. Larger ones gain
 * nothing, as their cost is in the changes by then, and a refusal has more to take apart. */
#define UPDATE_OCTETS_MAX  16384
#define UPDATE_CHANGES_MAX 256

/* The largest TSIG: two names, a MAC of 64 octets, fixed fields. */
#define SIGNATURE_OCTETS_MAX 640

/* Messages of one zone on their way: begun with, and at most. Two keep the server busy while one
 * answer travels; more only when they are full, as fewer large ones cost less than many small. */
#define WINDOW_MIN 2
#define WINDOW_MAX 16

/* Messages on their way, and of them questions: two of each host that is asked for. */
#define MESSAGES_MAX  256
#define QUESTIONS_MAX 64

/* ---- Tasks: changes and questions ---- */

enum task_kind { TASK_CHANGE, TASK_QUESTION };

/* The outcome is called back when there is one, or after the longest time; the task lives until
 * nothing holds it. */
struct task {
    enum task_kind kind;
    bool is_told;
    unsigned holds;                      /* messages that it is in */
    struct task *next;                   /* in the queue or message that it is in */
    struct task *bucket_next;            /* the first of its host: in the table of hosts */
    struct task *follower, *follower_at; /* the first of its host: what waits for it, and the last
                                          * of that */
    struct task *older, *newer;          /* all that are not told */
    int64_t submitted_ms;
    struct dns_zone *zone; /* set when it was taken in */
    union {
        dns_done_fn *done;
        dns_told_fn *told;
    };
    void *context;
    struct dns_addresses addresses; /* of a question, as its answers come */
    uint64_t hash;                  /* of zone and host */
    uint16_t record_count;          /* of a change */
    uint8_t zone_size, host_size;
    uint32_t size; /* of `octets` */
    /* The zone's name, the host's (lower case), and of a change its records: their owners end in a
     * pointer to the zone's name, which is at the same place in every UPDATE. */
    uint8_t octets[];
};

static inline const uint8_t *task_zone(const struct task *task)
{
    return task->octets;
}

static inline const uint8_t *task_host(const struct task *task)
{
    return task->octets + task->zone_size;
}

static inline const uint8_t *task_records(const struct task *task)
{
    return task->octets + task->zone_size + task->host_size;
}

static inline size_t task_records_size(const struct task *task)
{
    return task->size - task->zone_size - task->host_size;
}

/* `change` NULL makes a question. Any thread. */
_must_check_ int dns_task_create(const char *zone, const char *host,
                                 const struct dns_change *change, const uint8_t *hash_key,
                                 struct task **ret_task, struct error *ret_error);

struct task_list {
    struct task *first, *last;
};

void dns_task_list_add(struct task_list *list, struct task *task);
struct task *dns_task_list_take(struct task_list *list);

/* ---- Messages ---- */

enum message_kind { MESSAGE_UPDATE, MESSAGE_A, MESSAGE_AAAA, MESSAGE_PROBE };

/* One that is on its way, or waits to be sent anew: then it is in no slot. */
struct message {
    enum message_kind kind;
    struct message *next; /* in the list that it is in */
    struct dns_zone *zone;
    struct task_list tasks;
    unsigned count; /* of them */
    bool is_full;   /* more did not fit */
    unsigned sends; /* times that it was sent */
    int64_t sent_us;
};

struct message_list {
    struct message *first, *last;
};

/* A message on its way: its identifier is the slot's number and generation, so that a late answer
 * to an earlier one is told apart. */
struct slot {
    struct message *message; /* NULL: free */
    uint16_t generation;
    struct tsig_client *tsig; /* NULL: unsigned, or not used yet */
};

struct dns_zone {
    struct dns_zone *next;
    struct task_list ready;      /* changes whose turn it is */
    struct message_list resends; /* what has to be sent again, before anything else */
    unsigned in_flight, window;
    unsigned servfails; /* in a row */
    uint8_t name_size;
    uint8_t name[];
};

/* ---- The connection ---- */

#define LENGTH_SIZE 2
#define OUT_SIZE    (8 * (LENGTH_SIZE + UPDATE_OCTETS_MAX + SIGNATURE_OCTETS_MAX))
#define IN_SIZE     (LENGTH_SIZE + MESSAGE_SIZE_MAX)

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_OPEN };

struct dns_link {
    enum link_state state;
    int fd, epoll_fd;
    bool wants_write;
    size_t out_begin, out_end, in_begin, in_end;
    uint8_t out[OUT_SIZE], in[IN_SIZE];
};

/* Begins to connect. */
_must_check_ int dns_link_connect(struct dns_link *link, const struct sockaddr *address,
                                  socklen_t size);
/* After epoll said that it is writable: 0 connected. */
_must_check_ int dns_link_connected(struct dns_link *link);
void dns_link_close(struct dns_link *link);
/* Room for one more message of any kind; octets written there are sent after dns_link_add(). NULL:
 * none now. */
uint8_t *dns_link_room(struct dns_link *link);
void dns_link_add(struct dns_link *link, size_t size);
/* Sends what the system takes. */
_must_check_ int dns_link_flush(struct dns_link *link);
/* Receives once: 0 for nothing more now, 1 for octets, or an error; -ENODATA the server closed. */
_must_check_ int dns_link_receive(struct dns_link *link);
/* The next whole message of what was received. */
bool dns_link_next(struct dns_link *link, const uint8_t **ret_message, size_t *ret_size);

/* ---- The updater ---- */

#define HOSTS_BUCKETS 16384 /* a power of two */

struct dns_updater {
    struct dns_updater_options options;
    struct transfer_key key; /* `options.key` in the words of TSIG */
    uint8_t hash_key[16];
    pthread_t thread;
    int event_fd;

    pthread_mutex_t lock; /* of these: */
    struct task_list incoming;
    bool is_asleep, is_stopping;

    atomic_uint waiting;
    atomic_bool is_down;
    struct {
        atomic_uint_least64_t changes_done, changes_refused, changes_not_reached, asked, told,
            turned_away, messages, messages_split, answers_bad, connects, downs, answer_us, answers;
        atomic_uint window;
    } figures;

    int64_t now_ms;
    struct task *oldest, *newest;       /* not told, by the time of submission */
    struct task *hosts[HOSTS_BUCKETS];  /* the first task of each host */
    struct dns_zone *zones, *next_zone; /* which begins; NULL: the first */
    struct task_list questions;         /* whose turn it is */
    struct message_list question_resends;
    unsigned questions_in_flight; /* messages */
    struct slot slots[MESSAGES_MAX];
    unsigned slots_used, slot_hint;
    struct record_reader *reader;
    struct dns_link link;

    int64_t silent_since_ms; /* since when an answer is waited for in vain; 0: it is not */
    int64_t connecting_since_ms, connect_at_ms; /* not before */
    int64_t scan_at_ms;                         /* when the slots are looked through */
    bool link_answered;                         /* the connection has brought something */
    bool is_careful; /* a connection was lost over a message: what was on its way goes alone */
    bool is_probing; /* a probe is on its way */
    struct dns_zone *probe_zone; /* the last that was spoken of */
    char trouble[512];           /* the last thing that went wrong */
};

/* ---- Queues (dns_queues.c) ---- */

/* Takes in what was submitted. */
void dns_queues_take_in(struct dns_updater *updater, struct task_list *incoming);
/* Calls back, once. */
void dns_task_tell(struct dns_updater *updater, struct task *task,
                   const struct dns_outcome *outcome);
/* A message lets go of the task: after the last the next of its host gets its turn. */
void dns_task_release(struct dns_updater *updater, struct task *task);
/* Tells all that waited for too long; they are let go of when they are come across. */
void dns_tasks_expire(struct dns_updater *updater);
/* Nothing that waits, on its way or not, was reached. No message has a slot any more. */
void dns_queues_fail_all(struct dns_updater *updater, const char *why);
void dns_queues_clear(struct dns_updater *updater);

/* ---- Messages (dns_message.c) ---- */

/* Takes what is next for the zone, at most what fits; NULL: nothing, or no memory. */
struct message *dns_message_take_changes(struct dns_updater *updater, struct dns_zone *zone);
void dns_message_list_add(struct message_list *list, struct message *message);
struct message *dns_message_list_take(struct message_list *list);

/* Writes it, signed, with its length in front, to where there is room for a message. */
_must_check_ int dns_message_write(struct dns_updater *updater, const struct message *message,
                                   struct slot *slot, uint16_t id, uint8_t *octets,
                                   size_t *ret_size, struct error *ret_error);

/* The RCODE of an answer to the slot's message, and the addresses that it brings into a question.
 * -EKEYREJECTED, -EBADMSG: it is none that may be believed. */
_must_check_ int dns_message_read_answer(struct dns_updater *updater, struct slot *slot,
                                         const uint8_t *wire, size_t size, uint8_t *ret_rcode,
                                         struct error *ret_error);

/* ---- Traffic (dns_traffic.c) ---- */

/* Sends what may be sent. */
void dns_traffic_send(struct dns_updater *updater);
/* Takes in whatever the connection brought. */
void dns_traffic_receive(struct dns_updater *updater);
/* Looks at the clock: connects, probes, gives up. */
void dns_traffic_look(struct dns_updater *updater);
/* Milliseconds until dns_traffic_look() has something to do; -1: nothing. */
int dns_traffic_wait_ms(struct dns_updater *updater);
/* Closes the connection, everything on its way is not reached. */
void dns_traffic_end(struct dns_updater *updater, const char *why);
