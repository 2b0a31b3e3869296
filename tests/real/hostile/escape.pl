# What a hostile RUN tries. Prints "held NAME" or "ESCAPED NAME: how" for each attempt. x86-64 and aarch64 only.
use strict;
use warnings;
use Socket;
use Fcntl;
use POSIX ();

my ($file, $expected) = ($ENV{HOST_FILE}, $ENV{HOST_WORD});
my $arm = (POSIX::uname())[4] eq "aarch64";
my %number = (    # asm/unistd.h: x86-64, and the generic table
    mount => [165, 40], unshare => [272, 97], setns => [308, 268], pivot_root => [155, 41], keyctl => [250, 219],
    add_key => [248, 217], ptrace => [101, 117], bpf => [321, 280], io_uring_setup => [425, 425], kexec_load => [246, 104],
    init_module => [175, 105], open_by_handle_at => [304, 265], userfaultfd => [323, 282], chroot => [161, 51],
    perf_event_open => [298, 241], fsopen => [430, 430], move_mount => [429, 429], swapon => [167, 224],
    process_vm_readv => [310, 270], mount_setattr => [442, 442], quotactl => [179, 60], acct => [163, 89],
);
my $zeros = "\0" x 256;

sub result {
    my ($name, $how) = @_;
    print defined $how ? "ESCAPED $name: $how\n" : "held $name\n";
}

sub call {
    my ($name, @words) = @_;
    my $back = syscall($number{$name}[$arm], @words);
    return $back >= 0 ? "returned $back" : undef;
}

sub has_word {
    my ($path) = @_;
    open(my $in, "<", $path) or return undef;
    my $text = do { local $/; <$in> };
    return defined $text && index($text, $expected) >= 0 ? "read $path" : undef;
}

sub opens {    # what became of opening: undef if it was refused
    my ($path, $mode) = @_;
    return sysopen(my $file, $path, $mode) ? "opened" : undef;
}

sub reads {
    my ($path) = @_;
    sysopen(my $in, $path, O_RDONLY) or return undef;
    return sysread($in, my $text, 64) ? "read" : undef;
}

sub enters {
    my ($path) = @_;
    sysopen(my $in, $path, O_RDONLY) or return undef;
    return call("setns", fileno($in), 0);
}

sub first { for my $found (@_) { return $found if defined $found } return undef }

# --- the files of the machine
result("read by dots", has_word("../" x 60 . $file));
result("read by process 1", first(map { has_word("/proc/1/$_$file") } "root", "cwd"));
result("read by descriptors", first(map { has_word("$_/" . "../" x 60 . $file) } glob("/proc/*/fd/*")));
my @open = grep { my $to = readlink; defined $to && $to !~ m{^(pipe:|/dev/null|/proc/\d+/fd)} && -e } glob("/proc/self/fd/*");
@open = grep { (readlink($_) // "") !~ m{escape\.pl$} } @open;
result("descriptors left open", @open ? join(" ", map { "$_ -> " . (readlink // "?") } @open) : undef);
{
    my $how;
    my $child = open(my $out, "-|") // die;
    if (!$child) {
        mkdir "/jail";
        opendir(my $here, "/");
        call("chroot", my $path = "/jail\0");
        chdir("..") for 1 .. 60;
        call("chroot", $path = ".\0");
        print has_word($file) // "";
        exit 0;
    }
    my $said = do { local $/; <$out> };
    result("read by a second chroot", $said ? $said : undef);
}
for my $node ([b => 8, 0], [b => 253, 0], [b => 254, 0], [b => 259, 0], [c => 1, 1], [c => 1, 2], [c => 1, 11], [c => 10, 200]) {
    my ($type, $major, $minor) = @$node;
    my $how;
    for my $folder (grep { -d } "/tmp", "/dev", "/dev/shm", "/cache") {
        my $path = "$folder/node-$type-$major-$minor";
        system("mknod $path $type $major $minor 2>/dev/null");
        $how //= opens($path, O_RDONLY) && "in $folder";
        unlink $path;
    }
    result("open the device $type $major:$minor", $how);
}
chmod 0614, "/dev/full";    # the test looks at the machine's
chown 4711, 4711, "/dev/full";
result("devices of the machine", join(" ", grep { -e } map { "/dev/$_" } qw(mem kmem kmsg sda vda fuse kvm)) || undef);
result("names of the machine's files", first(map { has_word($_) } grep { defined } map { m{(/\S+)} } `cat /proc/self/mountinfo`));

# --- other processes
if (!$ENV{OWN_PROCESS_1}) {    # a runtime makes the step itself process 1
    my $buffer = "\0" x 8;
    my ($mine, $theirs) = (pack("PQ", $buffer, 8), pack("QQ", 0x400000, 8));
    result("environment of process 1", reads("/proc/1/environ"));
    result("memory of process 1", opens("/proc/1/mem", O_RDWR));
    result("program of process 1", opens("/proc/1/exe", O_RDWR));
    result("trace process 1", call("ptrace", 16, 1, 0, 0));
    result("read process 1", call("process_vm_readv", 1, $mine, 1, $theirs, 1, 0));
}
result("see the builder", `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '` =~ /bin\/img build/ ? "its command line" : undef);

# --- the kernel
my $tmpfs = "tmpfs\0"; my $target = "/mnt\0"; my $slash = "/\0";
result("mount", call("mount", $tmpfs, $target, $tmpfs, 0, 0));
result("remount the root", call("mount", $slash, $slash, $tmpfs, 4096 | 32, 0));
result("fsopen", call("fsopen", $tmpfs, 0));
result("mount_setattr", call("mount_setattr", -100, $slash, 0, $zeros, 32));
result("pivot_root", call("pivot_root", $slash, $slash));
result("a user namespace", call("unshare", 0x10000000));
result("a mount namespace", call("unshare", 0x20000));
result("a cgroup namespace", call("unshare", 0x2000000));
result("the namespaces of process 1", enters("/proc/1/ns/mnt"));
result("keyrings", first(call("keyctl", 0, -3, 1, 0, 0), call("add_key", $tmpfs, $tmpfs, $tmpfs, 3, -3)));
result("bpf", call("bpf", 0, $zeros, 72));
result("io_uring", call("io_uring_setup", 8, $zeros));
result("userfaultfd", call("userfaultfd", 0));
result("perf events", call("perf_event_open", $zeros, 0, -1, -1, 0));
result("kexec", call("kexec_load", 0, 0, 0, 0));
result("kernel modules", call("init_module", $zeros, 100, $tmpfs));
result("handles of files", call("open_by_handle_at", -100, $zeros, 0));
result("swap and accounting", first(call("swapon", $target, 0), call("acct", $target)));

for my $path (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches",
    "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper", "/sys/power/state",
    "/sys/kernel/mm/transparent_hugepage/enabled", glob("/sys/fs/cgroup/{,*/}{release_agent,notify_on_release,cgroup.procs}"),
  )
{
    result("write $path", opens($path, O_WRONLY)) if -e $path || $path !~ m{cgroup};
}
for my $path ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware/dmi/tables/DMI") {
    result("read $path", reads($path));
}
if ($ENV{ABSTRACT}) {
    socket(my $socket, AF_UNIX, SOCK_STREAM, 0);
    my $address = pack("S a*", AF_UNIX, "\0$ENV{ABSTRACT}");
    result("an abstract socket", connect($socket, $address) ? "connected" : undef);
}
print "tried everything\n";
