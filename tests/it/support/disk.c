/*
 * Loaded into the daemon by a test (LD_PRELOAD): makes what it writes to its
 * store, or reads of its sources, fail, wait, or be the last thing that it did.
 *
 * PARAMD_TEST_DISK names a file of five 64-bit numbers, shared with the test:
 * which operations (a sum of bits), how many of them pass first, what happens
 * then, its argument, and how many it happened to.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, READ = 8 };
enum { NOTHING, FAIL, WAIT, KILL_BEFORE, KILL_HALFWAY, KILL_AFTER };

struct rule {
    _Atomic long operations, pass, what, argument, happened;
};

static struct rule *rule;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("PARAMD_TEST_DISK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        _exit(120);
    rule = mmap(NULL, sizeof *rule, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (rule == MAP_FAILED)
        _exit(121);
}

/* Whether the file is of those that the operation falls ill on. */
static int is_meant(int operation, int fd) {
    char link[40], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (operation == READ)
        return strstr(path, "/ill.db") != NULL || strstr(path, "/files/") != NULL;
    return strstr(path, "/state/paramd.db") != NULL;
}

/* What is to happen to this operation. */
static long fate(int operation, int fd) {
    int saved = errno;
    long what = NOTHING;
    if ((atomic_load(&rule->operations) & operation) && is_meant(operation, fd) &&
        atomic_fetch_sub(&rule->pass, 1) <= 0) {
        what = atomic_load(&rule->what);
        atomic_fetch_add(&rule->happened, 1);
    }
    errno = saved;
    if (what == KILL_BEFORE)
        kill(getpid(), SIGKILL);
    if (what == WAIT) {
        long ms = atomic_load(&rule->argument);
        struct timespec time = {ms / 1000, ms % 1000 * 1000000};
        nanosleep(&time, NULL);
    }
    return what;
}

static long failed(void) {
    errno = (int)atomic_load(&rule->argument);
    return -1;
}

static long ended(long what, long result) {
    if (what == KILL_HALFWAY || what == KILL_AFTER)
        kill(getpid(), SIGKILL);
    return result;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) {
    long what = fate(WRITE, fd);
    if (what == FAIL)
        return failed();
    return ended(what, REAL(write)(fd, bytes, what == KILL_HALFWAY ? count / 2 : count));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    long what = fate(WRITE, fd);
    if (what == FAIL)
        return failed();
    return ended(what, REAL(pwrite)(fd, bytes, what == KILL_HALFWAY ? count / 2 : count, at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    long what = fate(WRITE, fd);
    if (what == FAIL)
        return failed();
    return ended(what, REAL(pwrite64)(fd, bytes, what == KILL_HALFWAY ? count / 2 : count, at));
}

ssize_t read(int fd, void *bytes, size_t count) {
    long what = fate(READ, fd);
    return what == FAIL ? failed() : ended(what, REAL(read)(fd, bytes, count));
}

ssize_t pread(int fd, void *bytes, size_t count, off_t at) {
    long what = fate(READ, fd);
    return what == FAIL ? failed() : ended(what, REAL(pread)(fd, bytes, count, at));
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
    long what = fate(READ, fd);
    return what == FAIL ? failed() : ended(what, REAL(pread64)(fd, bytes, count, at));
}

int fsync(int fd) {
    long what = fate(SYNC, fd);
    return what == FAIL ? (int)failed() : (int)ended(what, REAL(fsync)(fd));
}

int fdatasync(int fd) {
    long what = fate(SYNC, fd);
    return what == FAIL ? (int)failed() : (int)ended(what, REAL(fdatasync)(fd));
}

int ftruncate(int fd, off_t length) {
    long what = fate(TRUNCATE, fd);
    return what == FAIL ? (int)failed() : (int)ended(what, REAL(ftruncate)(fd, length));
}

int ftruncate64(int fd, off64_t length) {
    long what = fate(TRUNCATE, fd);
    return what == FAIL ? (int)failed() : (int)ended(what, REAL(ftruncate64)(fd, length));
}
