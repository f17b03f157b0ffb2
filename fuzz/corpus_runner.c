/* main() of the fuzz targets in ordinary builds: runs each file of the folders given once, so that
 * every input that ever mattered is a test. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"

#define INPUT_SIZE_MAX (1024 * 1024)

static int run_file(const char *path)
{
    static uint8_t input[INPUT_SIZE_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    size_t size = fread(input, 1, sizeof(input), file);
    fclose(file);

    /* A copy of the exact size: the address sanitizer then sees a read beyond its end. */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL)
        return -1;
    memcpy(exact, input, size);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static int run_folder(const char *folder)
{
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return -1;
    }
    int count = 0;
    for (const struct dirent *item; count >= 0 && (item = readdir(directory)) != NULL;) {
        if (item->d_name[0] == '.')
            continue;
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, item->d_name);
        count = run_file(path) == 0 ? count + 1 : -1;
    }
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    for (int index = 1; index < argc; index++) {
        int count = run_folder(argv[index]);
        if (count <= 0) {
            fprintf(stderr, "%s: no inputs were run\n", argv[index]);
            return 1;
        }
    }
    return argc < 2;
}
