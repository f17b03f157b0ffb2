#include "desk/key_file.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_text.h"

#define FILE_SIZE_MAX 1024

int key_file_make(const char *path, struct error *ret_error)
{
    uint8_t octets[KEY_FILE_OCTETS];
    char text[2 * KEY_FILE_OCTETS + 2];

    randombytes_buf(octets, sizeof(octets));
    sodium_bin2hex(text, sizeof(text) - 1, octets, sizeof(octets));
    text[2 * KEY_FILE_OCTETS] = '\n';
    int rc = file_text_create(path, 0600, text, sizeof(text) - 1, ret_error);
    sodium_memzero(octets, sizeof(octets));
    sodium_memzero(text, sizeof(text));
    return rc;
}

int key_file_read(const char *path, const char *what, uint8_t ret_octets[static KEY_FILE_OCTETS],
                  struct error *ret_error)
{
    struct file_text text;
    struct stat status;
    size_t size = 0;

    if (stat(path, &status) == 0 && (status.st_mode & S_IRWXO) != 0)
        return error_set_at(ret_error, -EPERM, path, 0,
                            "every user of this system may read or change it: chmod o= it");
    int rc = file_text_read(path, FILE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    text.octets[strcspn(text.octets, "\r\n")] = '\0';
    if (sodium_hex2bin(ret_octets, KEY_FILE_OCTETS, text.octets, strlen(text.octets), NULL, &size,
                       NULL) != 0 ||
        size != KEY_FILE_OCTETS)
        rc = error_set_at(ret_error, -EINVAL, path, 0,
                          "is no %s: it has 64 hexadecimal digits, as of 'openssl rand -hex 32'",
                          what);
    sodium_memzero(text.octets, text.size);
    file_text_clear(&text);
    return rc;
}
