/* Vendors agree on the format of an MMDB file and not on the keys of its records: the known forms
 * are tried one after the other. */
#include "sink/networks.h"

#include <ctype.h>
#include <errno.h>
#include <maxminddb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct networks {
    MMDB_s asn_file, country_file;
    const MMDB_s *asn, *country; /* NULL: none; both may be the same */
};

#define PATH(...) ((const char *const[]){__VA_ARGS__, NULL})

/* GeoLite2 and DB-IP, then ipinfo and IPLocate, then the forms of others. */
static const char *const *const asn_paths[] = {
    PATH("autonomous_system_number"),
    PATH("asn"),
    PATH("as_number"),
    PATH("traits", "autonomous_system_number"),
    PATH("autonomous_system", "asn"),
    NULL,
};

/* Where the address is used comes before where its network is registered. */
static const char *const *const country_paths[] = {
    PATH("country", "iso_code"),
    PATH("country_code"),
    PATH("country"),
    PATH("country_iso_code"),
    PATH("countryCode"),
    PATH("registered_country", "iso_code"),
    NULL,
};

static const char *const *const holder_paths[] = {
    PATH("autonomous_system_organization"),
    PATH("as_name"),
    PATH("as_organization"),
    PATH("name"),
    PATH("org"),
    PATH("traits", "autonomous_system_organization"),
    PATH("autonomous_system", "name"),
    NULL,
};

/* ---- Open and close ---- */

static int file_open(const char *path, MMDB_s *ret_file, struct error *ret_error)
{
    int status = MMDB_open(path, MMDB_MODE_MMAP, ret_file);
    switch (status) {
    case MMDB_SUCCESS:
        return 0;
    case MMDB_FILE_OPEN_ERROR:
    case MMDB_IO_ERROR: {
        int code = errno != 0 ? -errno : -EIO;
        return error_set_at(ret_error, code, path, 0,
                            "cannot read the database of networks: %s; name an MMDB file",
                            strerror(-code));
    }
    case MMDB_OUT_OF_MEMORY_ERROR:
        return error_set(ret_error, -ENOMEM, "no memory for the database of networks");
    default:
        return error_set_at(ret_error, -EBADMSG, path, 0,
                            "is no MMDB file, or a damaged one (%s): fetch it again",
                            MMDB_strerror(status));
    }
}

int networks_open(const char *asn_path, const char *country_path, struct networks **ret_networks,
                  struct error *ret_error)
{
    _cleanup_(networks_closep) struct networks *networks = calloc(1, sizeof(*networks));
    int rc = 0;

    if (networks == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for the database of networks");
    errno = 0;
    if (asn_path != NULL) {
        rc = file_open(asn_path, &networks->asn_file, ret_error);
        if (rc < 0)
            return rc;
        networks->asn = &networks->asn_file;
    }
    if (country_path != NULL && asn_path != NULL && strcmp(country_path, asn_path) == 0) {
        networks->country = networks->asn;
    } else if (country_path != NULL) {
        rc = file_open(country_path, &networks->country_file, ret_error);
        if (rc < 0)
            return rc;
        networks->country = &networks->country_file;
    }
    *ret_networks = TAKE(networks);
    return 0;
}

void networks_close(struct networks *networks)
{
    if (networks == NULL)
        return;
    if (networks->country == &networks->country_file)
        MMDB_close(&networks->country_file);
    if (networks->asn != NULL)
        MMDB_close(&networks->asn_file);
    free(networks);
}

/* ---- Look up ---- */

/* The record of an address; false when the file has none, or can't have one. */
static bool record_find(const MMDB_s *file, const struct in6_addr *address,
                        MMDB_entry_s *ret_record)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_addr = *address};
    const struct sockaddr *key = (const struct sockaddr *)&ipv6;
    int status = MMDB_SUCCESS;

    if (file == NULL)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        memcpy(&ipv4.sin_addr, &address->s6_addr[12], sizeof(ipv4.sin_addr));
        key = (const struct sockaddr *)&ipv4;
    }
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(file, key, &status);
    if (status != MMDB_SUCCESS || !found.found_entry)
        return false;
    *ret_record = found.entry;
    return true;
}

static bool value_find(MMDB_entry_s *record, const char *const *path, MMDB_entry_data_s *ret_value)
{
    return MMDB_aget_value(record, ret_value, path) == MMDB_SUCCESS && ret_value->has_data;
}

/* "AS64496" or "64496"; the text has no NUL. */
static uint32_t asn_of_text(const char *text, size_t size)
{
    uint64_t asn = 0;
    if (size > 2 && strncasecmp(text, "AS", 2) == 0) {
        text += 2;
        size -= 2;
    }
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)text[i]))
            return 0;
        asn = asn * 10 + (uint64_t)(text[i] - '0');
        if (asn > UINT32_MAX)
            return 0;
    }
    return (uint32_t)asn;
}

/* 0: it is no number of a network. */
static uint32_t asn_of(const MMDB_entry_data_s *value)
{
    switch (value->type) {
    case MMDB_DATA_TYPE_UINT16:
        return value->uint16;
    case MMDB_DATA_TYPE_UINT32:
        return value->uint32;
    case MMDB_DATA_TYPE_INT32:
        return value->int32 > 0 ? (uint32_t)value->int32 : 0;
    case MMDB_DATA_TYPE_UINT64:
        return value->uint64 <= UINT32_MAX ? (uint32_t)value->uint64 : 0;
    case MMDB_DATA_TYPE_UTF8_STRING:
        return asn_of_text(value->utf8_string, value->data_size);
    default:
        return 0;
    }
}

static bool country_of(const MMDB_entry_data_s *value, char ret_country[static 3])
{
    if (value->type != MMDB_DATA_TYPE_UTF8_STRING || value->data_size != 2 ||
        !isalpha((unsigned char)value->utf8_string[0]) ||
        !isalpha((unsigned char)value->utf8_string[1]))
        return false;
    ret_country[0] = (char)toupper((unsigned char)value->utf8_string[0]);
    ret_country[1] = (char)toupper((unsigned char)value->utf8_string[1]);
    ret_country[2] = '\0';
    return true;
}

void networks_find(const struct networks *networks, const struct in6_addr *address,
                   struct network *ret_network)
{
    MMDB_entry_s record;
    MMDB_entry_data_s value;

    *ret_network = (struct network){0};
    if (record_find(networks->asn, address, &record))
        for (size_t i = 0; asn_paths[i] != NULL && ret_network->asn == 0; i++)
            if (value_find(&record, asn_paths[i], &value))
                ret_network->asn = asn_of(&value);
    if (!record_find(networks->country, address, &record))
        return;
    for (size_t i = 0; country_paths[i] != NULL; i++)
        if (value_find(&record, country_paths[i], &value) &&
            country_of(&value, ret_network->country))
            return;
}

void networks_holder(const struct networks *networks, const struct in6_addr *address,
                     char *ret_name, size_t size)
{
    MMDB_entry_s record;
    MMDB_entry_data_s value;

    ret_name[0] = '\0';
    if (!record_find(networks->asn, address, &record))
        return;
    for (size_t i = 0; holder_paths[i] != NULL; i++)
        if (value_find(&record, holder_paths[i], &value) &&
            value.type == MMDB_DATA_TYPE_UTF8_STRING && value.data_size > 0) {
            size_t length = value.data_size < size ? value.data_size : size - 1;
            while (length < value.data_size && length > 0 &&
                   ((unsigned char)value.utf8_string[length] & 0xc0) == 0x80)
                length--; /* not within a character */
            memcpy(ret_name, value.utf8_string, length);
            ret_name[length] = '\0';
            return;
        }
}
