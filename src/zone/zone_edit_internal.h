/* Shared by the files that edit a generation and freeze views of it; no other module includes it.
 */
#pragma once

#include <pthread.h>

#include "zone/child_counts.h"
#include "zone/retired.h"
#include "zone/zone_edit.h"
#include "zone/zone_view.h"

struct arena;

/* What a generation has from its first edit or view on. */
struct zone_changing {
    uint64_t commits; /* edits committed so far */
    struct retired retired;
    struct child_counts children; /* of names below the apex */
    bool children_are_counted;    /* lazily, when the first deep name comes or goes */

    pthread_mutex_t views_lock; /* over the list and what each view keeps */
    struct zone_view *views;
};

/* Makes it if there is none. Returns 0 or -ENOMEM. */
_must_check_ int zone_changing_make(struct zone_data *data);

/* ---- Views, as edits see them ---- */

/* Makes room in every open view of this generation for `count` entries that change. Returns 0 or
 * -ENOMEM. */
_must_check_ int zone_views_reserve(struct zone_changing *changing, size_t count);

/* Leaves what slot `index` of the table had (NULL: nothing) to the views that have yet to pass it.
 * With the lock held. */
void zone_views_keep(struct zone_changing *changing, const struct name_table *table, uint64_t index,
                     const struct name_entry *before);

/* The `commits` of the oldest open view; UINT64_MAX: there is none. */
uint64_t zone_views_oldest(struct zone_changing *changing);

/* ---- One edit ---- */

/* A name that the edit touches. */
struct edit_node {
    struct edit_node *next; /* in the order in which they were touched */
    uint64_t hash;
    const struct name_entry *base;  /* committed; NULL: none */
    const struct name_entry *entry; /* with the edit's changes; NULL: no records any more */
    size_t staged_at;               /* changes after the one that made `entry`; 0: it is `base` */

    /* What zone_edit_prepare() derives. */
    const struct name_entry *final; /* what the commit publishes; `base`: no change */
    int64_t children_more;          /* names directly below that came, less those that went */
    bool exists;
    uint16_t flags; /* enum entry_flag */

    uint8_t owner_size;
    uint8_t owner[]; /* relative, lower case */
};

/* What a rewind puts back: a name's entry before a change. */
struct edit_undo {
    struct edit_node *node;
    const struct name_entry *entry;
    size_t staged_at, changed_at; /* number of changes then, and when it was replaced */
};

struct zone_edit {
    struct zone_data *data;
    struct zone_changing *changing;
    struct name_table *table; /* as of the beginning: marks may replace the zone's meanwhile */
    uint64_t arena_held;      /* by data->arena, of which the zone's memory counts */

    struct arena *scratch; /* nodes */
    struct edit_node *first, **last;
    struct edit_node **slots; /* hash of the nodes; a power of two, at most half full */
    size_t capacity, node_count;

    struct change_list changes;
    uint16_t author;
    struct edit_undo *undo;
    size_t undo_count, undo_room;
    bool is_marked;
    size_t marked_at; /* changes at the latest mark */

    uint8_t *rdata; /* a record set in the making */
    size_t rdata_room;

    bool is_prepared;
    uint64_t slots_reserved;
    struct zone_negative *negative; /* of the apex that the commit publishes */
};

/* Octets of an entry as built. */
size_t name_entry_size(const struct name_entry *entry);

/* Gives back the memory of an entry that was never published. */
void zone_edit_discard(struct zone_edit *edit, const struct name_entry *entry);

/* The node of a name; made if there is none. `owner` is the relative one of `name`. */
_must_check_ int zone_edit_node(struct zone_edit *edit, uint64_t hash, const uint8_t *owner,
                                size_t owner_size, struct edit_node **ret_node);
struct edit_node *zone_edit_node_find(const struct zone_edit *edit, uint64_t hash,
                                      const uint8_t *owner, size_t owner_size);

/* Takes back what zone_edit_prepare() derived. */
void zone_edit_unprepare(struct zone_edit *edit);

/* Puts a sorted record set in the place of the one of its type and records the change; nothing when
 * they are equal. */
_must_check_ int zone_edit_stage(struct zone_edit *edit, struct edit_node *node,
                                 const struct rrset *rrset, bool *ret_changed);
