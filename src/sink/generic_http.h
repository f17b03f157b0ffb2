/* HTTP requests of no family, told apart by who they say they are and what they ask for. */
#pragma once

#include "sink/recognition.h"

/* As generic_recognise(), for requests alone. */
sink_parser_fn generic_http_recognise;
