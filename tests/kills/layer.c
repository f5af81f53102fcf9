/* Faults at a chosen touch of the disk. Preload it, then arm it in a process with a folder, a fault and a number.

   A touch is a call that changes what lies under the folder (open to write, write, rename, unlink, mkdir, truncate,
   fsync, ...) or, where reads are to fail, one that reads a file there. What a library writes from C or Rust is seen
   too: it comes through libc, but for the rename with which safetensors ends a file (a system call of its own; checked
   with strace: nothing else is missed), and reads of mapped memory. The page that is shared with the parent says how
   many touches there were, and the last. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, COUNT, KILL_BEFORE, KILL_TORN, FULL, READ_ONLY, BAD_READ };
enum { WRITES = 1, NEEDS_ROOM = 2, READS = 4, HAS_BYTES = 8 };

struct page { long touches; char last[4088]; };

static char root[PATH_MAX];
static int fault = NONE, full;
static long chosen;
static dev_t bad_dev;
static ino_t bad_ino;
static struct page *told;

void fault_arm(const char *folder, int what, long number, struct page *shared) {
    snprintf(root, sizeof root, "%s/", folder);
    chosen = number, told = shared, full = 0, bad_ino = 0;
    told->touches = 0;
    fault = what;
}

#define NEXT(name) static __typeof__(name) *next; if (!next) next = dlsym(RTLD_NEXT, #name)

static ssize_t place(int dir, const char *path, char *out) { /* the whole path of a name, or of an open file */
    char base[64];
    ssize_t n = 0;
    if (path && path[0] == '/') return snprintf(out, PATH_MAX, "%s", path);
    snprintf(base, sizeof base, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
    if ((n = readlink(base, out, PATH_MAX - 1)) < 0) return -1;
    out[n] = 0;
    return path ? n + snprintf(out + n, PATH_MAX - n, "/%s", path) : n;
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

/* 0: go on; 1: go on with half of the bytes, then `after`; -1: fail with errno. */
static int touch(const char *call, int kind, int dir, const char *path) {
    char where[PATH_MAX];
    struct stat found;
    int before = errno;
    if (fault == NONE || place(dir, path, where) < 0 || strncmp(where, root, strlen(root))) { errno = before; return 0; }
    errno = before;
    if (!(kind & (fault == BAD_READ ? READS : WRITES))) return 0;
    if (bad_ino && !(path ? fstatat(dir, path, &found, 0) : fstat(dir, &found))
        && found.st_ino == bad_ino && found.st_dev == bad_dev) { errno = EIO; return -1; }
    errno = before;
    if (full && (kind & NEEDS_ROOM)) { errno = ENOSPC; return -1; }
    long number = __atomic_add_fetch(&told->touches, 1, __ATOMIC_SEQ_CST);
    if (fault == READ_ONLY) { errno = EROFS; return -1; }
    if (number != chosen) return 0;
    snprintf(told->last, sizeof told->last, "%s %s", call, where + strlen(root));
    switch (fault) {
    case KILL_BEFORE: die(); break;
    case KILL_TORN: return 1;
    case FULL:
        full = 1;
        if (kind & HAS_BYTES) return 1;
        if (kind & NEEDS_ROOM) { errno = ENOSPC; return -1; }
        break;
    case BAD_READ:
        if (!(path ? fstatat(dir, path, &found, 0) : fstat(dir, &found))) bad_ino = found.st_ino, bad_dev = found.st_dev;
        errno = EIO;
        return -1;
    }
    return 0;
}

static void after(int found) { if (found == 1 && fault == KILL_TORN) die(); }

#define TOUCHED(call, kind, dir, path, failed, work) do { \
    int found = touch(#call, kind, dir, path); \
    if (found < 0) return failed; \
    __typeof__(work) made = work; \
    after(found); \
    return made; } while (0)

#define WRITTEN(call, fd, size, work) do { \
    int found = touch(#call, WRITES | NEEDS_ROOM | HAS_BYTES, fd, NULL); \
    if (found < 0) return -1; \
    if (found == 1) size = size / 2; \
    ssize_t made = work; \
    after(found); \
    return made; } while (0)

static int kind_of(int flags) { return flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) ? WRITES | (flags & O_CREAT ? NEEDS_ROOM : 0) : READS; }

#define OPEN(name, ARGS, dir, CALL) \
    int name ARGS { NEXT(name); mode_t mode = 0; va_list more; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
        TOUCHED(name, kind_of(flags), dir, path, -1, CALL); }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD, next(path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, next(path, flags, mode))
OPEN(openat, (int dir, const char *path, int flags, ...), dir, next(dir, path, flags, mode))
OPEN(openat64, (int dir, const char *path, int flags, ...), dir, next(dir, path, flags, mode))

#define FOPEN(name) FILE *name(const char *path, const char *mode) { NEXT(name); \
    TOUCHED(name, mode[0] == 'r' && !strchr(mode, '+') ? READS : WRITES | NEEDS_ROOM, AT_FDCWD, path, NULL, next(path, mode)); }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int fd, const void *bytes, size_t size) { NEXT(write); WRITTEN(write, fd, size, next(fd, bytes, size)); }
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { NEXT(pwrite); WRITTEN(pwrite, fd, size, next(fd, bytes, size, at)); }
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) { NEXT(pwrite64); WRITTEN(pwrite64, fd, size, next(fd, bytes, size, at)); }
ssize_t writev(int fd, const struct iovec *parts, int size) { NEXT(writev); WRITTEN(writev, fd, size, next(fd, parts, size)); }
ssize_t sendfile(int to, int from, off_t *at, size_t size) { NEXT(sendfile); WRITTEN(sendfile, to, size, next(to, from, at, size)); }
ssize_t sendfile64(int to, int from, off64_t *at, size_t size) { NEXT(sendfile64); WRITTEN(sendfile64, to, size, next(to, from, at, size)); }
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t size, unsigned flags) {
    NEXT(copy_file_range); WRITTEN(copy_file_range, to, size, next(from, at, to, there, size, flags)); }

ssize_t read(int fd, void *bytes, size_t size) { NEXT(read); TOUCHED(read, READS, fd, NULL, -1, next(fd, bytes, size)); }
ssize_t pread(int fd, void *bytes, size_t size, off_t at) { NEXT(pread); TOUCHED(pread, READS, fd, NULL, -1, next(fd, bytes, size, at)); }
ssize_t pread64(int fd, void *bytes, size_t size, off64_t at) { NEXT(pread64); TOUCHED(pread64, READS, fd, NULL, -1, next(fd, bytes, size, at)); }
ssize_t readv(int fd, const struct iovec *parts, int size) { NEXT(readv); TOUCHED(readv, READS, fd, NULL, -1, next(fd, parts, size)); }

int rename(const char *path, const char *to) { NEXT(rename); TOUCHED(rename, WRITES, AT_FDCWD, to, -1, next(path, to)); }
int renameat(int dir, const char *path, int there, const char *to) { NEXT(renameat); TOUCHED(renameat, WRITES, there, to, -1, next(dir, path, there, to)); }
int renameat2(int dir, const char *path, int there, const char *to, unsigned flags) { NEXT(renameat2); TOUCHED(renameat2, WRITES, there, to, -1, next(dir, path, there, to, flags)); }
int unlink(const char *path) { NEXT(unlink); TOUCHED(unlink, WRITES, AT_FDCWD, path, -1, next(path)); }
int unlinkat(int dir, const char *path, int flags) { NEXT(unlinkat); TOUCHED(unlinkat, WRITES, dir, path, -1, next(dir, path, flags)); }
int rmdir(const char *path) { NEXT(rmdir); TOUCHED(rmdir, WRITES, AT_FDCWD, path, -1, next(path)); }
int mkdir(const char *path, mode_t mode) { NEXT(mkdir); TOUCHED(mkdir, WRITES | NEEDS_ROOM, AT_FDCWD, path, -1, next(path, mode)); }
int mkdirat(int dir, const char *path, mode_t mode) { NEXT(mkdirat); TOUCHED(mkdirat, WRITES | NEEDS_ROOM, dir, path, -1, next(dir, path, mode)); }
int truncate(const char *path, off_t size) { NEXT(truncate); TOUCHED(truncate, WRITES, AT_FDCWD, path, -1, next(path, size)); }
int truncate64(const char *path, off64_t size) { NEXT(truncate64); TOUCHED(truncate64, WRITES, AT_FDCWD, path, -1, next(path, size)); }
int ftruncate(int fd, off_t size) { NEXT(ftruncate); TOUCHED(ftruncate, WRITES, fd, NULL, -1, next(fd, size)); }
int ftruncate64(int fd, off64_t size) { NEXT(ftruncate64); TOUCHED(ftruncate64, WRITES, fd, NULL, -1, next(fd, size)); }
int fsync(int fd) { NEXT(fsync); TOUCHED(fsync, WRITES, fd, NULL, -1, next(fd)); }
int fdatasync(int fd) { NEXT(fdatasync); TOUCHED(fdatasync, WRITES, fd, NULL, -1, next(fd)); }
