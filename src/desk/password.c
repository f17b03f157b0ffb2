#include "desk/password.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* RFC 9106, 4, second choice: 64 MiB and three passes. */
#define OPERATIONS 3
#define MEMORY     crypto_pwhash_MEMLIMIT_INTERACTIVE

int password_hash(const char *password, char ret_hash[static PASSWORD_HASH_SIZE],
                  struct error *ret_error)
{
    if (crypto_pwhash_str_alg(ret_hash, password, strlen(password), OPERATIONS, MEMORY,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        return error_set(ret_error, -ENOMEM, "no memory to hash a password with");
    return 0;
}

static char stand_in[PASSWORD_HASH_SIZE];

static void stand_in_make(void)
{
    if (password_hash("nobody has this one", stand_in, NULL) < 0)
        stand_in[0] = '\0'; /* then no account can be checked either */
}

bool password_matches(const char *password, const char *hash)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, stand_in_make);
    bool matches =
        crypto_pwhash_str_verify(hash != NULL ? hash : stand_in, password, strlen(password)) == 0;
    return matches && hash != NULL;
}
