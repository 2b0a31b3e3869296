/* Asks whose files are and who it is in every way that the C library and the kernel have, from many threads and processes
   at once, while others rename, make and give away files, and says how many answers were wrong. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int stop; static long wrong, asked;
static void bad(const char *what, unsigned u, unsigned g) { __sync_fetch_and_add(&wrong, 1); fprintf(stderr, "%s: %u:%u errno %d\n", what, u, g, errno); }
/* two files: owner 1:2 and 3:4, renamed over each other without end; whatever is seen must be one of them */
static void one(const char *what, int r, unsigned u, unsigned g) {
    __sync_fetch_and_add(&asked, 1);
    if (r) { if (errno != ENOENT) bad(what, u, g); return; }
    if (!((u == 1 && g == 2) || (u == 3 && g == 4))) bad(what, u, g);
}
static void *asking(void *x) {
    struct stat s; struct statx y; int r;
    while (!stop) {
        r = syscall(SYS_newfstatat, AT_FDCWD, "w/n", &s, 0); one("newfstatat", r, s.st_uid, s.st_gid);
#ifdef SYS_stat
        r = syscall(SYS_stat, "w/n", &s); one("stat", r, s.st_uid, s.st_gid);
        r = syscall(SYS_lstat, "/stress/w/n", &s); one("lstat", r, s.st_uid, s.st_gid);
#endif
        r = statx(AT_FDCWD, "w/n", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &y); one("statx", r, y.stx_uid, y.stx_gid);
        int d = open("w", O_RDONLY | O_DIRECTORY); r = fstatat(d, "n", &s, 0); one("fstatat", r, s.st_uid, s.st_gid); close(d);
        int f = open("w/n", O_RDONLY);
        if (f >= 0) {
            r = syscall(SYS_fstat, f, &s); one("fstat", r, s.st_uid, s.st_gid);
            r = fstatat(f, "", &s, AT_EMPTY_PATH); one("empty", r, s.st_uid, s.st_gid);
            r = statx(f, "", AT_EMPTY_PATH, STATX_UID | STATX_GID, &y); one("statx fd", r, y.stx_uid, y.stx_gid);
            close(f);
        }
        if (fstat(-1, &s) == 0 || errno != EBADF) bad("EBADF", 0, 0);
        if (fstatat(99, "x", &s, 0) == 0 || errno != EBADF) bad("EBADF at", 0, 0);
        if (stat("", &s) == 0 || errno != ENOENT) bad("empty path", 0, 0);
        if (syscall(SYS_newfstatat, AT_FDCWD, (void *)8, &s, 0) == 0 || errno != EFAULT) bad("EFAULT path", 0, 0);
        if (syscall(SYS_newfstatat, AT_FDCWD, "w", (void *)8, 0) == 0 || errno != EFAULT) bad("EFAULT buffer", 0, 0);
        if (stat("/dev/stdin", &s) || stat("/proc/self/exe", &s) || stat("/dev/fd/2", &s) || lstat("/proc/self", &s)) bad("proc", 0, 0);
    }
    return 0;
}
static void *renaming(void *x) {
    char a[64], b[64]; long k = (long)x, i = 0;
    while (!stop) {
        snprintf(a, 64, "w/t%ld", k);
        int f = open(a, O_CREAT | O_EXCL | O_WRONLY, 0644); if (f < 0) { bad("create", 0, 0); break; }
        if (i++ & 1) { if (fchown(f, 1, 2)) bad("fchown", 0, 0); close(f); } else { close(f); if (chown(a, 3, 4)) bad("chown", 0, 0); }
        if (rename(a, "w/n")) bad("rename", 0, 0);
    }
    return 0;
}
int main(void) {
    pthread_t t[16]; mkdir("w", 0755); int n = 0;
    for (; n < 3; n++) pthread_create(t + n, 0, renaming, (void *)(long)n);
    for (; n < 11; n++) pthread_create(t + n, 0, asking, 0);
    for (int p = 0; p < 64; p++) if (fork() == 0) {  /* a storm of processes that are each somebody else */
        unsigned id = 1000 + p; char name[64]; struct stat s; snprintf(name, 64, "p/%d", p);
        if (p % 3 == 0 && fork() == 0) { setsid(); if (fork() == 0) { usleep(20000); if (getuid()) bad("orphan", getuid(), 0); _exit(0); } _exit(0); }
        gid_t groups[2] = {7, id}, got[8];
        if (setgroups(2, groups) || setresgid(id, id, id) || setresuid(id, id, id)) bad("set", 0, 0);
        for (int i = 0; i < 20; i++) {
            if (getuid() != id || geteuid() != id || getgid() != id || getgroups(8, got) != 2 || got[1] != id) bad("who", getuid(), getgid());
            int f = open(name, O_CREAT | O_EXCL | O_RDWR, 0600); if (f < 0) { bad("mine", 0, 0); continue; }
            if (fstat(f, &s) || s.st_uid != id || s.st_gid != id) bad("own", s.st_uid, s.st_gid);
            if (chown(name, 0, 0) == 0 || errno != EPERM) bad("given away", 0, 0);
            if (setuid(0) == 0) bad("back", 0, 0);
            close(f); pid_t c = fork(); if (c == 0) _exit(getuid() != id); int st; waitpid(c, &st, 0); if (st) bad("child", 0, 0);
            unlink(name);
        }
        _exit(0);
    }
    sleep(4); stop = 1; for (int i = 0; i < n; i++) pthread_join(t[i], 0);
    while (wait(0) > 0) ;
    fprintf(stderr, "asked %ld wrong %ld\n", asked, wrong); unlink("w/n"); return wrong != 0;
}
