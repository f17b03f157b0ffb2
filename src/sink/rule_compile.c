#include "sink/rule_compile.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_text.h"

/* A rules file is text that people write. */
#define RULES_FILE_SIZE_MAX (1U << 20)

/* Slots of libyara's stack: it is allocated for each scan, and at the 16,384 that it takes by
 * itself each scan maps and unmaps 256 KiB. Conditions that need more are refused as too deep. */
#define STACK_SLOTS 512

/* A flight has at most 64 KiB: what takes longer is a broken expression. */
#define SCAN_SECONDS_MAX 1

/* What conditions may read beside the octets. */
static const char *const modules_allowed[] = {"math", "hash"};

struct compilation {
    const char *folder;
    const char *file; /* being compiled */
    rule_finding_fn *take;
    void *context;
    struct error *error;
};

/* ---- The compiler's calls ---- */

static void take_message(int level, const char *file, int line, const YR_RULE *rule,
                         const char *message, void *user_data)
{
    struct compilation *compilation = user_data;
    const char *path = file != NULL ? file : compilation->file;
    (void)rule;

    if (compilation->take != NULL)
        compilation->take(compilation->context, level == YARA_ERROR_LEVEL_WARNING, path,
                          line > 0 ? (unsigned)line : 0, message);
    if (level == YARA_ERROR_LEVEL_ERROR && compilation->error->code == 0)
        (void)error_set_at(compilation->error, -EINVAL, path, line > 0 ? (uint32_t)line : 0, "%s",
                           message);
}

/* Only what lies in the folder itself may be included. */
static const char *include_read(const char *name, const char *from, const char *namespace_,
                                void *user_data)
{
    const struct compilation *compilation = user_data;
    char path[PATH_MAX];
    struct file_text text;
    struct error error;
    (void)from;
    (void)namespace_;

    if (strchr(name, '/') != NULL || name[0] == '.' ||
        snprintf(path, sizeof(path), "%s/%s", compilation->folder, name) >= (int)sizeof(path) ||
        file_text_read(path, RULES_FILE_SIZE_MAX, &text, &error) < 0)
        return NULL;
    return text.octets;
}

static void include_free(const char *text, void *user_data)
{
    (void)user_data;
    free((char *)text);
}

/* ---- Files ---- */

static int is_rules_file(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);

    return entry->d_name[0] != '.' && size > 4 && strcmp(entry->d_name + size - 4, ".yar") == 0;
}

/* By octets, so that the order is the same in every locale. */
static int by_name(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static int compile_file(YR_COMPILER *compiler, struct compilation *compilation, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", compilation->folder, name) >= (int)sizeof(path))
        return error_set_at(compilation->error, -ENAMETOOLONG, name, 0, "the path is too long");
    FILE *stream = fopen(path, "re");
    if (stream == NULL) {
        int code = -errno;
        return error_set_at(compilation->error, code, path, 0, "cannot be read: %s",
                            strerror(-code));
    }
    compilation->file = path;
    int errors = yr_compiler_add_file(compiler, stream, NULL, path);
    compilation->file = NULL;
    fclose(stream);
    if (errors == 0)
        return 0;
    if (compilation->error->code == 0)
        return error_set_at(compilation->error, -EINVAL, path, 0, "cannot be compiled");
    return compilation->error->code;
}

static int compile_files(YR_COMPILER *compiler, struct compilation *compilation)
{
    struct dirent **entries;
    int rc = 0;

    int count = scandir(compilation->folder, &entries, is_rules_file, by_name);
    if (count < 0) {
        rc = -errno;
        return error_set_at(compilation->error, rc, compilation->folder, 0,
                            "the rules folder cannot be read: %s", strerror(-rc));
    }
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = compile_file(compiler, compilation, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* ---- What the rules say of themselves ---- */

static const YR_STRING *find_string(const YR_RULE *rule, const char *identifier)
{
    YR_STRING *string;

    yr_rule_strings_foreach(rule, string)
    {
        if (strcmp(string->identifier, identifier) == 0)
            return string;
    }
    return NULL;
}

static bool parse_kind(const char *word, enum sink_kind *ret_kind)
{
    for (unsigned i = SINK_CHECKIN; i < SINK_KIND_COUNT; i++)
        if (strcmp(sink_kind_names[i], word) == 0) {
            *ret_kind = (enum sink_kind)i;
            return true;
        }
    return false;
}

/* libyara keeps no place of a compiled rule: its name must do. */
static int refuse_rule(const struct compilation *compilation, const YR_RULE *yara, const char *text)
{
    if (compilation->take != NULL) {
        char sentence[256];
        snprintf(sentence, sizeof(sentence), "rule %s: %s", yara->identifier, text);
        compilation->take(compilation->context, false, compilation->folder, 0, sentence);
    }
    return error_set_at(compilation->error, -EINVAL, compilation->folder, 0, "rule %s: %s",
                        yara->identifier, text);
}

static int read_metas(const struct compilation *compilation, const YR_RULE *yara, struct rule *rule)
{
    YR_META *meta;

    rule->kind = SINK_NOTHING;
    rule->family = rule->version = rule->source = "";
    yr_rule_metas_foreach(yara, meta)
    {
        if (meta->type != META_TYPE_STRING)
            continue;
        if (strcmp(meta->identifier, "family") == 0)
            rule->family = meta->string;
        else if (strcmp(meta->identifier, "version") == 0)
            rule->version = meta->string;
        else if (strcmp(meta->identifier, "source") == 0)
            rule->source = meta->string;
        else if (strcmp(meta->identifier, "kind") == 0 && !parse_kind(meta->string, &rule->kind))
            return refuse_rule(compilation, yara,
                               "no such kind: check-in, beacon, probe, or another that "
                               "tamis-sink-check-rules(1) lists");
        else if (strcmp(meta->identifier, "id") == 0 &&
                 (rule->id = find_string(yara, meta->string)) == NULL)
            return refuse_rule(compilation, yara,
                               "its meta `id` names no string: write it as in id = \"$id\"");
    }
    return 0;
}

static int read_rule(const struct compilation *compilation, const YR_RULE *yara, struct rule *rule)
{
    rule->is_private = RULE_IS_PRIVATE(yara);
    snprintf(rule->label_octets, sizeof(rule->label_octets), "yara:%s", yara->identifier);
    rule->label = rule->label_octets;
    int rc = read_metas(compilation, yara, rule);
    if (rc < 0 || rule->is_private)
        return rc;
    if (rule->kind == SINK_NOTHING)
        return refuse_rule(compilation, yara,
                           "its meta has no `kind`: add kind = \"check-in\", or make it private");
    if (rule->source[0] == '\0')
        return refuse_rule(compilation, yara,
                           "its meta has no `source`: say where the format is described");
    if (rule->family[0] == '\0' && (rule->kind == SINK_CHECKIN || rule->kind == SINK_BEACON))
        return refuse_rule(compilation, yara, "a check-in or beacon needs a meta `family`");
    return 0;
}

static int read_rules(const struct compilation *compilation, struct rule_set *set)
{
    set->count = set->yara->num_rules;
    set->rules = calloc(set->count + 1, sizeof(*set->rules));
    if (set->rules == NULL)
        return error_set(compilation->error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < set->count; i++) {
        int rc = read_rule(compilation, &set->yara->rules_table[i], &set->rules[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- Modules ---- */

/* libyara asks for modules at the start of a scan; the first that may not be used is kept. */
static int take_import(YR_SCAN_CONTEXT *scan, int message, void *data, void *user_data)
{
    char *refused = user_data;
    (void)scan;

    if (message != CALLBACK_MSG_IMPORT_MODULE || refused[0] != '\0')
        return CALLBACK_CONTINUE;
    const char *name = ((const YR_MODULE_IMPORT *)data)->module_name;
    for (size_t i = 0; i < sizeof(modules_allowed) / sizeof(modules_allowed[0]); i++)
        if (strcmp(name, modules_allowed[i]) == 0)
            return CALLBACK_CONTINUE;
    snprintf(refused, NAME_MAX, "%s", name);
    return CALLBACK_ABORT;
}

static int check_modules(const struct compilation *compilation, const struct rule_set *set)
{
    YR_SCANNER *scanner;
    char refused[NAME_MAX] = "";

    int rc = rule_set_scanner(set, &scanner, compilation->error);
    if (rc < 0)
        return rc;
    yr_scanner_set_callback(scanner, take_import, refused);
    (void)yr_scanner_scan_mem(scanner, (const uint8_t *)"", 0);
    yr_scanner_destroy(scanner);
    if (refused[0] == '\0')
        return 0;
    (void)error_set_at(compilation->error, -EPERM, compilation->folder, 0,
                       "a rule imports the module %s: of modules only math and hash may be used",
                       refused);
    if (compilation->take != NULL)
        compilation->take(compilation->context, false, compilation->folder, 0,
                          compilation->error->text);
    return -EPERM;
}

/* ---- The whole ---- */

static int compiler_open(struct compilation *compilation, YR_COMPILER **ret_compiler)
{
    if (yr_compiler_create(ret_compiler) != ERROR_SUCCESS)
        return error_set(compilation->error, -ENOMEM, "out of memory");
    yr_compiler_set_callback(*ret_compiler, take_message, compilation);
    yr_compiler_set_include_callback(*ret_compiler, include_read, include_free, compilation);
    if (yr_compiler_define_boolean_variable(*ret_compiler, "udp", 0) != ERROR_SUCCESS ||
        yr_compiler_define_boolean_variable(*ret_compiler, "tls", 0) != ERROR_SUCCESS ||
        yr_compiler_define_integer_variable(*ret_compiler, "port", 0) != ERROR_SUCCESS ||
        yr_compiler_define_string_variable(*ret_compiler, "ja4", "") != ERROR_SUCCESS) {
        yr_compiler_destroy(*ret_compiler);
        return error_set(compilation->error, -ENOMEM, "out of memory");
    }
    return 0;
}

static int compile(struct compilation *compilation, struct rule_set *set)
{
    YR_COMPILER *compiler;

    int rc = compiler_open(compilation, &compiler);
    if (rc < 0)
        return rc;
    rc = compile_files(compiler, compilation);
    if (rc == 0 && yr_compiler_get_rules(compiler, &set->yara) != ERROR_SUCCESS)
        rc = error_set(compilation->error, -ENOMEM, "out of memory");
    yr_compiler_destroy(compiler);
    if (rc == 0)
        rc = read_rules(compilation, set);
    return rc < 0 ? rc : check_modules(compilation, set);
}

int rule_set_compile(const char *folder, rule_finding_fn *take, void *context,
                     struct rule_set **ret_set, struct error *ret_error)
{
    struct error error = {0};
    struct compilation compilation = {
        .folder = folder, .take = take, .context = context, .error = &error};

    if (yr_initialize() != ERROR_SUCCESS)
        return error_set(ret_error, -ENOMEM, "libyara cannot be initialised: out of memory");
    /* Matches are read in the flight itself: no copies of them are needed. */
    (void)yr_set_configuration_uint32(YR_CONFIG_STACK_SIZE, STACK_SLOTS);
    (void)yr_set_configuration_uint32(YR_CONFIG_MAX_MATCH_DATA, 0);
    /* From here on rule_set_free() ends libyara again. */
    _cleanup_(rule_set_freep) struct rule_set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        (void)yr_finalize();
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    int rc = compile(&compilation, set);
    if (rc < 0) {
        if (ret_error != NULL)
            *ret_error = error;
        return rc;
    }
    *ret_set = TAKE(set);
    return 0;
}

void rule_set_free(struct rule_set *set)
{
    if (set == NULL)
        return;
    if (set->yara != NULL)
        (void)yr_rules_destroy(set->yara);
    (void)yr_finalize();
    free(set->rules);
    free(set);
}

int rule_set_scanner(const struct rule_set *set, YR_SCANNER **ret_scanner, struct error *ret_error)
{
    if (yr_scanner_create(set->yara, ret_scanner) != ERROR_SUCCESS)
        return error_set(ret_error, -ENOMEM, "out of memory");
    /* No handlers of SIGSEGV and SIGBUS around each scan: the octets lie in memory. */
    yr_scanner_set_flags(*ret_scanner, SCAN_FLAGS_FAST_MODE | SCAN_FLAGS_NO_TRYCATCH |
                                           SCAN_FLAGS_REPORT_RULES_MATCHING);
    yr_scanner_set_timeout(*ret_scanner, SCAN_SECONDS_MAX);
    return 0;
}

int rules_folder_find(char *ret_path, size_t size)
{
    static const char *const places[] = {"../share/tamis/rules", "../../rules"};
    char program[PATH_MAX];

    const char *given = getenv("TAMIS_RULES");
    if (given != NULL && given[0] != '\0')
        return snprintf(ret_path, size, "%s", given) < (int)size ? 0 : -ENAMETOOLONG;
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (length <= 0)
        return -ENOENT;
    program[length] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (snprintf(ret_path, size, "%s/%s", program, places[i]) < (int)size &&
            access(ret_path, R_OK | X_OK) == 0)
            return 0;
    return -ENOENT;
}
