/* Prints what is read of the hello in each file: result, version, name, protocol, fingerprint. For
 * test_ja4.py. */
#include <stdio.h>

#include "sink/client_hello.h"

int main(int argc, char **argv)
{
    static uint8_t octets[65536];

    for (int i = 1; i < argc; i++) {
        struct client_hello hello = {0};
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL)
            return 1;
        size_t size = fread(octets, 1, sizeof(octets), file);
        fclose(file);
        int rc = client_hello_read(octets, size, &hello);
        printf("%d %04x %s;%s;%s\n", rc, hello.version, hello.server_name, hello.alpn, hello.ja4);
    }
    return 0;
}
