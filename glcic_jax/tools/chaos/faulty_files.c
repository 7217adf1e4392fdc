/* File calls that fail or take long now and then, for processes that preload this library (see page.py).

   GLCIC_CHAOS_PAGE names a file of at least 16 bytes, which is mapped, so that a change takes effect at the next call:
     int32 error      the errno of calls that fail; 0 while nothing fails
     int32 per_mille  how many of a thousand calls fail
     int32 failures   counted here
     int32 delay_ms   how long every call takes
   GLCIC_CHAOS_FOLDERS: the folders whose files are meant, as absolute paths separated by colons. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { KNOWN_FILES = 1 << 16 };

struct page {
    _Atomic int32_t error, per_mille, failures, delay_ms;
};

static struct page *page;
static const char *folders;
static _Atomic char watched[KNOWN_FILES]; /* by file descriptor: whether it is of a file in one of the folders */
static pthread_once_t opened = PTHREAD_ONCE_INIT;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void open_page(void) {
    const char *path = getenv("GLCIC_CHAOS_PAGE");
    folders = getenv("GLCIC_CHAOS_FOLDERS");
    if (!path || !folders) return;
    int file = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    REAL(close)(file);
    if (mapped != MAP_FAILED) page = mapped;
}

static int is_inside(const char *path) {
    char absolute[PATH_MAX];
    if (!path) return 0;
    if (path[0] != '/') {
        size_t length;
        if (!getcwd(absolute, sizeof absolute)) return 0;
        length = strlen(absolute);
        if (length + strlen(path) + 2 > sizeof absolute) return 0;
        absolute[length] = '/';
        strcpy(absolute + length + 1, path);
        path = absolute;
    }
    for (const char *folder = folders; folder && *folder;) {
        const char *end = strchrnul(folder, ':');
        size_t length = (size_t)(end - folder);
        if (length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length])) return 1;
        folder = *end ? end + 1 : end;
    }
    return 0;
}

/* Whether this call is to fail, after a while; sets errno. */
static int fails(void) {
    static _Thread_local unsigned seed;
    int32_t delay_ms = atomic_load(&page->delay_ms);
    if (delay_ms > 0) nanosleep(&(struct timespec){delay_ms / 1000, delay_ms % 1000 * 1000000L}, NULL);
    int32_t error = atomic_load(&page->error);
    if (!error) return 0;
    if (!seed) seed = (unsigned)(uintptr_t)&seed ^ (unsigned)getpid() ^ (unsigned)atomic_load(&page->failures);
    if (rand_r(&seed) % 1000 >= atomic_load(&page->per_mille)) return 0;
    atomic_fetch_add(&page->failures, 1);
    errno = error;
    return 1;
}

static int path_fails(const char *path) {
    pthread_once(&opened, open_page);
    return page && (atomic_load(&page->error) || atomic_load(&page->delay_ms)) && is_inside(path) && fails();
}

static int file_fails(int file) {
    return page && file >= 0 && file < KNOWN_FILES && watched[file] && fails();
}

static int remember(int file, const char *path) {
    if (page && file >= 0 && file < KNOWN_FILES) watched[file] = (char)is_inside(path);
    return file;
}

#define MODE(flags)                                 \
    mode_t mode = 0;                                \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                               \
        va_start(rest, flags);                      \
        mode = va_arg(rest, mode_t);                \
        va_end(rest);                               \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return path_fails(path) ? -1 : remember(REAL(open)(path, flags, mode), path);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return path_fails(path) ? -1 : remember(REAL(open64)(path, flags, mode), path);
}

DIR *opendir(const char *path) { return path_fails(path) ? NULL : REAL(opendir)(path); }

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    if (folder == AT_FDCWD || path[0] == '/')
        return path_fails(path) ? -1 : remember(REAL(openat)(folder, path, flags, mode), path);
    if (file_fails(folder)) return -1;
    int file = REAL(openat)(folder, path, flags, mode);
    if (page && file >= 0 && file < KNOWN_FILES) watched[file] = folder >= 0 && folder < KNOWN_FILES && watched[folder];
    return file;
}

int close(int file) {
    if (file >= 0 && file < KNOWN_FILES) watched[file] = 0;
    return REAL(close)(file);
}

ssize_t read(int file, void *buffer, size_t size) { return file_fails(file) ? -1 : REAL(read)(file, buffer, size); }

ssize_t write(int file, const void *buffer, size_t size) {
    return file_fails(file) ? -1 : REAL(write)(file, buffer, size);
}

ssize_t pread(int file, void *buffer, size_t size, off_t at) {
    return file_fails(file) ? -1 : REAL(pread)(file, buffer, size, at);
}

ssize_t pread64(int file, void *buffer, size_t size, off64_t at) {
    return file_fails(file) ? -1 : REAL(pread64)(file, buffer, size, at);
}

ssize_t pwrite(int file, const void *buffer, size_t size, off_t at) {
    return file_fails(file) ? -1 : REAL(pwrite)(file, buffer, size, at);
}

ssize_t pwrite64(int file, const void *buffer, size_t size, off64_t at) {
    return file_fails(file) ? -1 : REAL(pwrite64)(file, buffer, size, at);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    return file_fails(file) ? -1 : REAL(writev)(file, parts, count);
}

int fsync(int file) { return file_fails(file) ? -1 : REAL(fsync)(file); }

int fdatasync(int file) { return file_fails(file) ? -1 : REAL(fdatasync)(file); }

int rename(const char *old, const char *new) { return path_fails(new) ? -1 : REAL(rename)(old, new); }

int unlink(const char *path) { return path_fails(path) ? -1 : REAL(unlink)(path); }

int mkdir(const char *path, mode_t mode) { return path_fails(path) ? -1 : REAL(mkdir)(path, mode); }

int stat(const char *restrict path, struct stat *restrict found) {
    return path_fails(path) ? -1 : REAL(stat)(path, found);
}

int stat64(const char *restrict path, struct stat64 *restrict found) {
    return path_fails(path) ? -1 : REAL(stat64)(path, found);
}
