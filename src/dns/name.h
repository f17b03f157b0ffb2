/* Owner names in wire form and the keyed hash by which every table of names is probed.
 *
 * Text conversion, canonical order (RFC 4034, 6.1) and similar cold work are libknot's
 * (knot_dname_from_str(), knot_dname_cmp(), ...); what stands here is on the path of every query.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_SIZE_MAX   255 /* octets on the wire, root label included (RFC 1035, 2.3.4) */
#define NAME_LABELS_MAX 127 /* labels, the root label not counted */

/* A parsed name: lower-cased wire form, where its labels begin, and the hash of each of its
 * suffixes.
 *
 * hashes[i] is the hash of the suffix that begins with label i (0 is the leftmost),
 * hashes[label_count] the root's. One pass from the right computes them all, so that finding a zone
 * or a closest encloser costs table probes and no further hashing. Only the first label_count + 1
 * elements of the arrays are set. */
struct name {
    uint8_t size;                         /* octets of wire[], root label included */
    uint8_t label_count;                  /* without the root label */
    uint8_t offsets[NAME_LABELS_MAX + 1]; /* of each label's length octet; the last is the root's */
    uint8_t wire[NAME_SIZE_MAX + 1 + 8];  /* lower case; readable 8 octets beyond its end */
    uint64_t hashes[NAME_LABELS_MAX + 1];
};

/* Sets the key of the hash. Called once before any name is hashed; the key is random per process,
 * so that nobody can choose names that collide. */
void name_hash_key_set(uint64_t key0, uint64_t key1);

/* Parses an uncompressed name at `wire`, of which `available` octets may be read. Letter case is
 * folded (RFC 4343). Returns the octets consumed, or -EBADMSG for a name that is cut short,
 * compressed, of an unknown label type or longer than 255 octets. */
int name_parse(struct name *ret_name, const uint8_t *wire, size_t available);

/* Hashes one uncompressed, well-formed name of any letter case, as name_parse() would. */
uint64_t name_hash(const uint8_t *wire);

/* Hash of the name that `label` (length octet first, lower case) makes in front of a name hashed to
 * `parent`. A wildcard owner's hash is name_hash_child(closest encloser's hash, "\1*"). */
uint64_t name_hash_child(uint64_t parent, const uint8_t *label);

/* Folds `size` octets of a wire-form name to lower case; label length octets are never letters. */
void name_fold(uint8_t *ret_wire, const uint8_t *wire, size_t size);

/* Octets of an uncompressed, well-formed wire name, root label included. */
size_t name_wire_size(const uint8_t *wire);

/* Whether two uncompressed names are equal in any letter case. */
bool name_equal(const uint8_t *one, const uint8_t *other);
