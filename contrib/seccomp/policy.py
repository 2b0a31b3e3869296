"""What a step's process may ask of the kernel: an allow-list by what programs in a build do.

A call that is known and not listed answers EPERM, as the kernel itself would for want of a capability. One that libseccomp
does not know (a newer kernel's), and those of `MISSING`, answer ENOSYS, so that the C library takes its older way.
"""

from __future__ import annotations


def _words(text: str) -> set[str]:
    return set(text.split())


PROCESSES = _words("""
    execve execveat exit exit_group fork vfork wait4 waitid waitpid kill tkill tgkill pidfd_open pidfd_send_signal
    getpid getppid gettid getpgid getpgrp setpgid getsid setsid prctl arch_prctl set_tid_address set_robust_list
    get_robust_list set_thread_area get_thread_area rseq membarrier ptrace process_vm_readv process_vm_writev
    process_mrelease restart_syscall getrusage times getpriority setpriority ioprio_get ioprio_set nice getcpu
    sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam sched_getscheduler
    sched_setscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval
    sched_rr_get_interval_time64 sched_yield getrlimit setrlimit prlimit64 ugetrlimit seccomp
    landlock_create_ruleset landlock_add_rule landlock_restrict_self modify_ldt
""")

IDENTITY = _words("""
    getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32
    getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32
    setresgid setresgid32 setgroups setgroups32 setfsuid setfsuid32 setfsgid setfsgid32 capget capset
""")

MEMORY = _words("""
    brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall
    memfd_create memfd_secret remap_file_pages pkey_alloc pkey_free pkey_mprotect map_shadow_stack
    shmget shmat shmdt shmctl semget semop semctl semtimedop semtimedop_time64 msgget msgsnd msgrcv msgctl ipc
    mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64
    futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue
""")

FILES = _words("""
    open openat openat2 creat close close_range dup dup2 dup3 read readv pread64 preadv preadv2 write writev pwrite64
    pwritev pwritev2 lseek _llseek readahead fadvise64 fadvise64_64 arm_fadvise64_64 fallocate truncate truncate64
    ftruncate ftruncate64 sync syncfs fsync fdatasync sync_file_range sync_file_range2 arm_sync_file_range cachestat
    copy_file_range sendfile sendfile64 splice tee vmsplice pipe pipe2 fcntl fcntl64 flock ioctl
    stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx oldstat oldlstat oldfstat statfs statfs64 fstatfs
    fstatfs64 access faccessat faccessat2 readlink readlinkat getdents getdents64 readdir
    link linkat symlink symlinkat unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat
    chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 lchown lchown32 fchownat umask utime utimes
    utimensat utimensat_time64 futimesat getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr
    flistxattr removexattr lremovexattr fremovexattr name_to_handle_at chdir fchdir getcwd chroot
    inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark
""")

WAITING = _words("""
    select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
    epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 timerfd_create
    timerfd_settime timerfd_settime64 timerfd_gettime timerfd_gettime64 io_setup io_submit io_cancel io_destroy
    io_getevents io_pgetevents io_pgetevents_time64 pause nanosleep clock_nanosleep clock_nanosleep_time64
""")

SIGNALS = _words("""
    rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_sigqueueinfo
    rt_tgsigqueueinfo rt_sigreturn sigaltstack sigaction sigprocmask sigpending sigsuspend sigreturn signal sgetmask
    ssetmask
""")

TIME = _words("""
    time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_adjtime clock_adjtime64
    adjtimex timer_create timer_delete timer_settime timer_settime64 timer_gettime timer_gettime64 timer_getoverrun
    getitimer setitimer alarm
""")
"""Reading the clock, also by adjtimex; setting it wants a capability that a step has not."""

NETWORK = _words("""
    socketpair bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt
    send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 socketcall
""")
"""``socket`` is conditional. 32-bit programs of x86 and s390 may reach it unchecked by way of ``socketcall``, whose arguments
lie in memory that a filter can't see."""

SYSTEM = _words("uname olduname oldolduname sysinfo getrandom")

MACHINES = _words("""
    breakpoint cacheflush set_tls get_tls usr26 usr32 riscv_flush_icache s390_pci_mmio_read s390_pci_mmio_write
    s390_runtime_instr s390_guarded_storage s390_sthyi swapcontext switch_endian subpage_prot multiplexer
    sys_debug_setcontext
""")

ALLOWED = PROCESSES | IDENTITY | MEMORY | FILES | WAITING | SIGNALS | TIME | NETWORK | SYSTEM | MACHINES

MISSING = {"clone3"}
"""Calls that must look as if the kernel had none: clone3's flags lie in memory that a filter can't see, and every C
library falls back to clone."""

NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""PER_LINUX, PER_LINUX32, UNAME26 with either, and the question."""

AF_ALG, AF_VSOCK = 38, 40

Comparison = tuple[int, str, int, int]


MULTIPLEXED = ("x86", "ppc64le", "s390x", "s390")
"""Architectures with ``socketcall``, where libseccomp can't tell one kind of socket from another."""


def conditions(architecture: str) -> dict[str, list[list[Comparison]]]:
    """Calls that are allowed by their arguments: alternatives, each a list of (argument, comparison, value, second)."""
    found: dict[str, list[list[Comparison]]] = {
        "clone": [[(_flags(architecture), "masked", NAMESPACES, 0)]],
        "personality": [[(0, "==", value, 0)] for value in PERSONALITIES],
        "socket": [[(0, "<", AF_ALG, 0)], [(0, "==", AF_ALG + 1, 0)], [(0, ">", AF_VSOCK, 0)]],
    }
    if architecture in MULTIPLEXED:
        found["socket"] = [[]]
    return found


def refusals(architecture: str) -> dict[str, list[list[Comparison]]]:
    """The same for what answers EPERM. Whatever neither function names answers ENOSYS: other personalities."""
    bits = [1 << bit for bit in range(32) if NAMESPACES & 1 << bit]
    found: dict[str, list[list[Comparison]]] = {
        "clone": [[(_flags(architecture), "masked", bit, bit)] for bit in bits],
        "socket": [[(0, "==", AF_ALG, 0)], [(0, "==", AF_VSOCK, 0)]],
    }
    if architecture in MULTIPLEXED:
        del found["socket"]
    return found


def _flags(architecture: str) -> int:
    """Which argument of clone holds the flags."""
    return 1 if architecture in ("s390x", "s390") else 0
