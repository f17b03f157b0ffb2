/* An order's file as one piece, for a desk that cannot see the files beside it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml_load.h"
#include "cli/desk_order_internal.h"
#include "order/name_text.h"
#include "order/order.h"

#define KEY "names-file:"

/* The line that names the file: a key of the document itself. NULL: it stands in another form. */
static const char *line_find(const char *text)
{
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += at != text || *at == '\n';
        if (strncmp(at, KEY, strlen(KEY)) == 0)
            return at;
    }
    return NULL;
}

static int text_write(FILE *stream, const char *path, const char *text, const struct order *order,
                      struct error *ret_error)
{
    const char *line = line_find(text);
    char name[NAME_TEXT_MAX + 1];

    if (line == NULL)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "'names-file' stands in no line of its own: write it there");
    fwrite(text, 1, (size_t)(line - text), stream);
    fputs("names:\n", stream);
    for (size_t i = 0; i < order->names.count; i++) {
        (void)name_text_write(order_names_at(&order->names, i), name);
        fprintf(stream, "  - '%s'\n", name);
    }
    const char *rest = strchr(line, '\n');
    fputs(rest != NULL ? rest + 1 : "", stream);
    return 0;
}

/* The canonical form, which signatures are over, is the same with the names in either place. */
static int names_inline(const struct yaml_source *source, const struct order *order,
                        char **ret_text, struct error *ret_error)
{
    char *text = strndup((const char *)source->text, source->size), *made = NULL;
    size_t size;
    FILE *stream = text != NULL ? open_memstream(&made, &size) : NULL;
    int rc = stream != NULL ? text_write(stream, source->path, text, order, ret_error)
                            : error_set(ret_error, -ENOMEM, "no memory for the order");
    if (stream != NULL && fclose(stream) != 0 && rc == 0)
        rc = error_set(ret_error, -ENOMEM, "no memory for the order");
    free(text);
    if (rc == 0)
        *ret_text = made;
    else
        free(made);
    return rc;
}

int order_document_read(const char *path, char **ret_text, struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *source = NULL;
    _cleanup_(order_freep) struct order *order = NULL;
    const struct order_policy policy = {.unverified = true};

    int rc = yaml_source_read(path, &source, ret_error);
    if (rc == 0)
        rc = order_load(path, &policy, &order, ret_error);
    if (rc < 0)
        return rc;
    if (order->names_path != NULL)
        return names_inline(source, order, ret_text, ret_error);
    *ret_text = strndup((const char *)source->text, source->size);
    return *ret_text != NULL ? 0 : error_set(ret_error, -ENOMEM, "no memory for the order");
}
