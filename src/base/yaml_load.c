#include "base/yaml_load.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_text.h"
#include "base/yaml_check.h"
#include "base/yaml_schema.h"

const cyaml_schema_value_t yaml_text_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

/* What libcyaml says in its log: the first line is the cause, the first place is the innermost. */
struct captured {
    char cause[256];
    size_t line;
};

int yaml_source_create(const char *path, const void *text, size_t size,
                       struct yaml_source **ret_source, struct error *ret_error)
{
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte-order mark */
        text = (const uint8_t *)text + 3;
        size -= 3;
    }
    struct yaml_source *source = calloc(1, sizeof(*source));
    if (source != NULL) {
        source->path = strdup(path);
        source->text = malloc(size + 1);
    }
    if (source == NULL || source->path == NULL || source->text == NULL) {
        yaml_source_free(source);
        return error_set_at(ret_error, -ENOMEM, path, 0, "out of memory");
    }
    if (size > 0)
        memcpy(source->text, text, size);
    source->text[size] = '\0';
    source->size = size;
    *ret_source = source;
    return 0;
}

int yaml_source_read(const char *path, struct yaml_source **ret_source, struct error *ret_error)
{
    struct file_text text;
    int rc = file_text_read(path, YAML_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    rc = yaml_source_create(path, text.octets, text.size, ret_source, ret_error);
    file_text_clear(&text);
    return rc;
}

void yaml_source_free(struct yaml_source *source)
{
    if (source == NULL)
        return;
    free(source->path);
    free(source->text);
    free(source);
}

/* A format that carries a place, of the backtrace that libcyaml logs after the cause. */
static void capture_place(struct captured *captured, const char *format, va_list arguments)
{
    char text[128];
    vsnprintf(text, sizeof(text), format, arguments);
    const char *line = strstr(text, "(line: ");
    if (line != NULL && captured->line == 0)
        captured->line = strtoul(line + strlen("(line: "), NULL, 10);
}

static void capture(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct captured *captured = context;

    (void)level;
    if (strncmp(format, "  in ", 5) == 0) {
        capture_place(captured, format, arguments);
        return;
    }
    if (captured->cause[0] != '\0' || strncmp(format, "Load: Backtrace", 15) == 0)
        return;
    vsnprintf(captured->cause, sizeof(captured->cause), format, arguments);
    captured->cause[strcspn(captured->cause, "\n")] = '\0';
}

/* libcyaml grows a sequence by one entry at a time: growing by half instead keeps long lists linear
 * where realloc() has to copy. */
static void *allocate(void *context, void *memory, size_t size)
{
    (void)context;
    if (size == 0) {
        free(memory);
        return NULL;
    }
    if (memory == NULL)
        return malloc(size);
    size_t usable = malloc_usable_size(memory);
    return size <= usable ? memory : realloc(memory, size + size / 2);
}

static cyaml_config_t config(cyaml_log_fn_t log, struct captured *captured)
{
    return (cyaml_config_t){
        .log_fn = log,
        .log_ctx = captured,
        .mem_fn = allocate,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

int yaml_source_load(const struct yaml_source *source, const cyaml_schema_value_t *schema,
                     void **ret_value, unsigned *ret_count, struct error *ret_error)
{
    struct captured captured = {0};
    cyaml_config_t settings = config(capture, &captured);
    void *value = NULL;
    unsigned count = 0;

    int rc = yaml_check(source, schema, ret_error);
    if (rc < 0)
        return rc;

    cyaml_err_t failed = cyaml_load_data(source->text, source->size, &settings, schema, &value,
                                         ret_count != NULL ? &count : NULL);
    if (failed == CYAML_ERR_OOM)
        return error_set_at(ret_error, -ENOMEM, source->path, 0, "out of memory");
    if (failed != CYAML_OK) {
        static const char prefix[] = "Load: ";
        const char *cause = captured.cause[0] != '\0' ? captured.cause : cyaml_strerror(failed);
        if (strncmp(cause, prefix, sizeof(prefix) - 1) == 0)
            cause += sizeof(prefix) - 1;
        return error_set_at(ret_error, -EINVAL, source->path, (uint32_t)captured.line, "%s", cause);
    }
    *ret_value = value;
    if (ret_count != NULL)
        *ret_count = count;
    return 0;
}

int yaml_load_file(const char *path, const cyaml_schema_value_t *schema, void **ret_value,
                   struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *source = NULL;

    int rc = yaml_source_read(path, &source, ret_error);
    if (rc < 0)
        return rc;
    assert(source != NULL);
    return yaml_source_load(source, schema, ret_value, NULL, ret_error);
}

void yaml_value_free(const cyaml_schema_value_t *schema, void *value, unsigned count)
{
    cyaml_config_t settings = config(NULL, NULL);

    if (value != NULL)
        cyaml_free(&settings, schema, value, count);
}
