/* The description of the HTTP interface (OpenAPI 3.1), joined by the build from doc/openapi. */
#pragma once

extern const char openapi_json[];
