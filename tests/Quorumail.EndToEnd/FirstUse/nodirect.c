/* A file system that knows no O_DIRECT, for one process: gcc -O2 -shared -fPIC -o nodirect.so nodirect.c -ldl; LD_PRELOAD=nodirect.so */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>

static int opened(const char *name, const char *path, int flags, mode_t mode) {
  if (flags & O_DIRECT) {
    errno = EINVAL;
    return -1;
  }
  int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
  return real(path, flags, mode);
}

#define OPENS(function)                                                          \
  int function(const char *path, int flags, ...) {                               \
    mode_t mode = 0;                                                             \
    if (flags & (O_CREAT | O_TMPFILE)) {                                         \
      va_list rest;                                                              \
      va_start(rest, flags);                                                     \
      mode = va_arg(rest, mode_t);                                               \
      va_end(rest);                                                              \
    }                                                                            \
    return opened(#function, path, flags, mode);                                 \
  }

OPENS(open)
OPENS(open64)
