/* Checks a YAML text against a libcyaml schema: private to base, see yaml_load.h. */
#pragma once

#include "base/yaml_load.h"

_must_check_ int yaml_check(const struct yaml_source *source, const cyaml_schema_value_t *schema,
                            struct error *ret_error);
