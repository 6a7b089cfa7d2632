/*
 * Functions that we do not use, made compile errors. The build includes this header in front of
 * every source file (meson.build, `-include`). The idea is git's banned.h.
 *
 * strcpy, strcat, sprintf, vsprintf  write without a bound: use struct buffer, or snprintf with the
 *                                    result checked
 * strncpy, strncat                   may leave a text without its end
 * strtok                             hidden state
 * gmtime, localtime, ctime, asctime  hidden state: use the _r forms, or core/data/calendar.h
 * atoi, atol, atof                   errors cannot be seen: use text_to_int64() (core/data/value.h)
 * system, popen                      a shell (promises.md, S3)
 */
#ifndef NOWCAST_BANNED_H
#define NOWCAST_BANNED_H

/* These declare the functions; after them the names may be taken away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(function) use_of_banned_function_##function

#undef strcpy
#define strcpy(to, from) BANNED(strcpy)
#undef strcat
#define strcat(to, from) BANNED(strcat)
#undef strncpy
#define strncpy(to, from, count) BANNED(strncpy)
#undef strncat
#define strncat(to, from, count) BANNED(strncat)
#undef strtok
#define strtok(text, separators) BANNED(strtok)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef gmtime
#define gmtime(time) BANNED(gmtime)
#undef localtime
#define localtime(time) BANNED(localtime)
#undef ctime
#define ctime(time) BANNED(ctime)
#undef asctime
#define asctime(time) BANNED(asctime)
#undef atoi
#define atoi(text) BANNED(atoi)
#undef atol
#define atol(text) BANNED(atol)
#undef atof
#define atof(text) BANNED(atof)
#undef system
#define system(command) BANNED(system)
#undef popen
#define popen(command, mode) BANNED(popen)

#endif
