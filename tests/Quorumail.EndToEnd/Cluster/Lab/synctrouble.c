/* Makes what a process syncs slow or fail while it runs, and nothing else: this stands between the process and libc (LD_PRELOAD).
 * SYNC_TROUBLE names a file of two numbers of 8 bytes, the nanoseconds that each fsync and fdatasync takes longer, and the error number
 * with which it fails without having synced anything; 0 is none. .NET asks the loader for the functions of libc by name, so that is
 * answered here, too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

struct trouble {
    long long delay;
    long long error;
};

static struct trouble none;
static volatile struct trouble *trouble = &none;
static void *(*real_find)(void *, const char *);

static void *find(void *library, const char *name)
{
    static const char *const versions[] = { "GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5" };
    for (int i = 0; !real_find && i < 3; i++)
        real_find = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    return real_find(library, name);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SYNC_TROUBLE");
    int file;
    if (path && (file = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        void *page = mmap(NULL, sizeof *trouble, PROT_READ, MAP_SHARED, file, 0);
        if (page != MAP_FAILED)
            trouble = page;
        close(file);
    }
}

static int sync_with(const char *name, int file)
{
    long long delay = trouble->delay;
    int error = (int)trouble->error;
    if (delay > 0) {
        struct timespec rest = { delay / SECOND, delay % SECOND };
        while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
            ;
    }
    if (error) {
        errno = error;
        return -1;
    }
    return ((int (*)(int))find(RTLD_NEXT, name))(file);
}

int fsync(int file)
{
    return sync_with("fsync", file);
}

int fdatasync(int file)
{
    return sync_with("fdatasync", file);
}

void *dlsym(void *library, const char *name)
{
    if (strcmp(name, "fsync") == 0)
        return fsync;
    if (strcmp(name, "fdatasync") == 0)
        return fdatasync;
    return find(library, name);
}
