/* What a hostile RUN tries against the recorder of the rung one-id. Prints "held NAME" or "ESCAPED NAME" for each attempt.
   HOST_DIR is a folder of the machine that whoever builds can write to. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void result(const char *name, int escaped) {
    printf("%s %s\n", escaped ? "ESCAPED" : "held", name);
    fflush(stdout);
}

static const char *up = "../../../../../../../../../../../../../../../../../..";

/* What process 1 has open is the builder's. The recorder may look where this process may not. */
static void by_process_1(void) {
    const char *outside = getenv("HOST_DIR");
    char path[4096];
    int made = 0;
    for (int number = -2; number < 300; number++) {
        char start[64];
        snprintf(start, sizeof start, number < -1 ? "/proc/1/cwd" : number < 0 ? "/proc/1/root" : "/proc/1/fd/%d", number);
        snprintf(path, sizeof path, "%s/%s%s/made", start, up, outside);
        made |= mkdir(path, 0755) == 0;
        snprintf(path, sizeof path, "%s/%s%s/written", start, up, outside);
        made |= open(path, O_RDWR | O_CREAT, 0644) >= 0;
        snprintf(path, sizeof path, "%s/%s%s/there", start, up, outside);
        struct stat status;
        made |= stat(path, &status) == 0;
        made |= chown(path, 5, 5) == 0;
    }
    result("the builder's folders by process 1", made);
}

/* Links are followed in the step's root, whatever they are given to. */
static void by_links(void) {
    char target[4096], path[4096];
    struct stat status;
    snprintf(target, sizeof target, "%s%s", up, getenv("HOST_DIR"));
    symlink(target, "/out");
    symlink(getenv("HOST_DIR"), "/out2");
    int made = 0;
    for (int number = 0; number < 2; number++) {
        const char *name = number ? "/out2" : "/out";
        snprintf(path, sizeof path, "%s/made", name);
        made |= mkdir(path, 0755) == 0;
        snprintf(path, sizeof path, "%s/there", name);
        made |= chown(path, 5, 5) == 0;
        made |= open(path, O_RDWR | O_CREAT, 0644) >= 0;
        made |= truncate(path, 0) == 0;
        made |= lchown(name, 9, 9) != 0 || lstat(name, &status) != 0 || status.st_uid != 9;
    }
    result("links out of the root", made);
}

/* More than fits into what the recorder sets aside, and what it remembers. */
static void much(void) {
    static gid_t groups[65536];
    static char path[70000];
    for (int number = 0; number < 65536; number++) groups[number] = 100000 + 3 * number;
    int wrong = syscall(SYS_setgroups, 65536, groups) != 0;
    groups[7] = 0;
    wrong |= syscall(SYS_getgroups, 65536, groups) != 65536 || groups[7] != 100021;
    wrong |= syscall(SYS_setgroups, 65537, groups) != -1 || errno != EINVAL;
    wrong |= syscall(SYS_setgroups, 0, groups) != 0;
    memset(path, 'x', sizeof path - 1);
    wrong |= mkdir(path, 0755) != -1 || errno != ENAMETOOLONG;
    wrong |= syscall(SYS_setgroups, 1, 16) != -1 || errno != EFAULT;
    int refused = 0;
    for (unsigned id = 1000; id < 101000 && !refused; id++) refused = syscall(SYS_setreuid, id, -1) != 0;
    wrong |= !refused || errno != EAGAIN;
    result("much at once", wrong);
}

/* Pointers to nothing, and flags of no sense: errors, not the end of the recorder. */
static void nonsense(void) {
    struct stat status;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int wrong = syscall(SYS_stat, 8, &status) != -1 || errno != EFAULT;
    wrong |= syscall(SYS_stat, "/", 8) != -1 || errno != EFAULT;
    wrong |= syscall(SYS_stat, "/", -8L) != -1 || errno != EFAULT;
    memset(page, 'y', 4096);
    munmap(page + 4096, 4096);
    wrong |= syscall(SYS_mkdir, page + 4000, 0755) != -1 || (errno != EFAULT && errno != ENOENT && errno != ENAMETOOLONG);
    syscall(SYS_openat, AT_FDCWD, "/flags", 0x80000000u | O_CREAT | O_WRONLY, 0600);
    syscall(SYS_mknodat, -7, "q", 0177777, -1L);
    syscall(SYS_fchownat, 0xffffffff80000000L, "q", -1L, -1L, -1L);
    syscall(SYS_fstat, -1L, &status);
    syscall(SYS_fstat, 0x7fffffff, &status);
    wrong |= stat("/", &status) != 0;
    result("nonsense", wrong);
}

/* A name for a file that is there already makes it nobody else's, and nothing leaves a whiteout. */
static void owners(void) {
    struct stat status;
    int file = open("/root-s", O_CREAT | O_WRONLY, 0644);
    close(file);
    chmod("/", 0777);
    if (fork() == 0) {
        setresuid(33, 33, 33);
        open("/root-s", O_PATH | O_CREAT | O_EXCL, 0600);
        open("/root-s", O_PATH | O_CREAT, 0600);
        chown("/root-s", 33, 33);
        chmod("/root-s", 04777);
        _exit(0);
    }
    wait(NULL);
    chmod("/", 0755);
    int wrong = stat("/root-s", &status) != 0 || status.st_uid != 0 || (status.st_mode & 07777) != 0644;
    close(open("/leaves", O_CREAT | O_WRONLY, 0644));
    wrong |= syscall(SYS_renameat2, AT_FDCWD, "/leaves", AT_FDCWD, "/left", 4) != -1;
    result("files of others", wrong);
}

static char shared[4096];
static volatile int stop;

static void *change(void *unused) {
    while (!stop) {
        strcpy(shared, "/etc/passwd");
        strcpy(shared, "/proc/1/root/x");
        shared[0] ^= 1;
    }
    return unused;
}

static void *unmap(void *page) {
    while (!stop) {
        mmap(page, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        strcpy(page, "/tmp/p");
        munmap(page, 8192);
    }
    return NULL;
}

/* Memory that changes and goes while it is read, and processes that are killed while they ask. */
static void races(void) {
    struct stat status;
    for (int round = 0; round < 40; round++) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t threads[3];
            char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            pthread_create(threads, NULL, change, NULL);
            pthread_create(threads + 1, NULL, unmap, page);
            for (;;) {
                syscall(SYS_stat, shared, page);
                syscall(SYS_mkdir, page, 0755);
                syscall(SYS_chown, shared, 3, 3);
                syscall(SYS_open, page, O_CREAT | O_RDWR, 0600);
                if (fork() == 0) _exit(0);
                waitpid(-1, NULL, WNOHANG);
            }
        }
        usleep(5000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    result("killed while they ask", stat("/", &status) != 0);
}

/* Who may not be looked at is answered all the same. */
static void undumpable(void) {
    struct stat status;
    prctl(PR_SET_DUMPABLE, 0);
    int wrong = stat("/", &status) != 0 || mkdir("/dark", 0700) != 0;
    prctl(PR_SET_DUMPABLE, 1);
    result("an undumpable process", wrong);
}

/* The other tables of calls: they are not recorded, so they must not be. */
static void other_calls(void) {
    int status = 0;
#ifdef __x86_64__
    if (fork() == 0) {
        long back;
        __asm__ volatile("int $0x80" : "=a"(back) : "a"(39L), "b"(0L), "c"(0755L) : "memory", "r8", "r9", "r10", "r11");
        _exit(0);
    }
    wait(&status);
    result("32-bit calls", !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL);
    result("x32 calls", syscall(0x40000000 + 83, "/x32", 0755) != -1 || errno != ENOSYS);
#endif
    result("clone3", syscall(435, NULL, 0) != -1 || errno != ENOSYS);
    result("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, shared, 0) != -1 || errno != EPERM);
    result("io_uring", syscall(425, 8, shared) != -1 || errno != EPERM);
}

int main(void) {
    by_process_1();
    by_links();
    nonsense();
    owners();
    undumpable();
    other_calls();
    races();
    much();
    printf("tried everything\n");
    return 0;
}
