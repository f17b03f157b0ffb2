/* Text within HTML. */
#pragma once

#include <stdio.h>

/* Writes text so that nothing of it is markup, also within the quotes of an attribute. */
void html_text(FILE *stream, const char *text);
