/* SPDX-License-Identifier: ISC */
/* Privileges, Landlock and seccomp; see sandbox.h. */
#define _GNU_SOURCE /* setgroups, O_PATH, syscall */
#include "daemon/sandbox.h"

#include "base/memory.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool
account_missing(struct fault *fault, const char *user)
{
	return fault_say(fault, "there is no account \"%s\" to run as; create it (useradd -r %s), "
				"or name another with user = \"...\"", user, user);
}

bool
privileges_drop(const char *user, bool keeps_bind, struct fault *fault)
{
	if (geteuid() == 0 && user != NULL) {
		const struct passwd *account = getpwnam(user);

		if (account == NULL)
			return account_missing(fault, user);
		bool needs_change = account->pw_uid != 0;

		capng_clear(CAPNG_SELECT_BOTH);
		if (keeps_bind &&
		    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
				 CAP_NET_BIND_SERVICE) != 0)
			return fault_say(fault, "cannot select capabilities");
		if (needs_change &&
		    capng_change_id((int)account->pw_uid, (int)account->pw_gid,
				    CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0)
			return fault_say(fault, "cannot become account %s", user);
		if (needs_change && setuid(0) == 0)
			return fault_say(fault, "account %s could become root again", user);
	}
	if (geteuid() != 0 && !keeps_bind) {
		capng_clear(CAPNG_SELECT_BOTH);
		if (capng_apply(CAPNG_SELECT_CAPS) != 0)
			return fault_say(fault, "cannot give up capabilities");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return fault_set(fault, "prctl PR_SET_NO_NEW_PRIVS");
	return true;
}

bool
directory_give(const char *path, const char *user, struct fault *fault)
{
	bool is_new = mkdir(path, 0750) == 0;

	if (!is_new && errno != EEXIST)
		return fault_setf(fault, "mkdir %s", path);
	if (!is_new || user == NULL || geteuid() != 0)
		return true;
	const struct passwd *account = getpwnam(user);

	if (account == NULL)
		return account_missing(fault, user);
	if (chown(path, account->pw_uid, account->pw_gid) == -1)
		return fault_setf(fault, "chown %s", path);
	return true;
}

/*
 * Landlock by raw system calls: the C library has none, and Debian 12's headers are older
 * than the kernels it runs on. Numbers and layouts are the kernel's documented interface.
 */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif
#define LANDLOCK_VERSION_FLAG	1U
#define LANDLOCK_PATH_BENEATH	1
#define LANDLOCK_READ_FILE	(1ULL << 2)
#define LANDLOCK_READ_DIR	(1ULL << 3)
#define LANDLOCK_ABI_1_RIGHTS	((1ULL << 13) - 1)
#define LANDLOCK_REFER		(1ULL << 13) /* since ABI 2 */
#define LANDLOCK_TRUNCATE	(1ULL << 14) /* since ABI 3 */
#define LANDLOCK_EXECUTE	(1ULL << 0)

struct landlock_rules {
	uint64_t handled;
};

struct landlock_path {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

static bool
landlock_allow(int rules, const char *path, uint64_t rights, struct fault *fault)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd == -1)
		return errno == ENOENT ? true : fault_setf(fault, "open %s", path);
	struct stat info;
	const uint64_t file_rights = LANDLOCK_READ_FILE | (1ULL << 1) | LANDLOCK_TRUNCATE;

	if (fstat(fd, &info) == 0 && !S_ISDIR(info.st_mode))
		rights &= file_rights;
	struct landlock_path beneath = { .allowed = rights, .parent = fd };
	long status = syscall(SYS_landlock_add_rule, rules, LANDLOCK_PATH_BENEATH, &beneath, 0);

	if (status == -1)
		fault_setf(fault, "landlock_add_rule %s", path);
	(void)close(fd);
	return status == 0;
}

/* Not all of /etc: there are users files, keys and passwords of routes. */
static const char *const worker_readable[] = {
	"/etc/gai.conf", "/etc/host.conf", "/etc/hosts", "/etc/localtime", "/etc/nsswitch.conf",
	"/etc/protocols", "/etc/resolv.conf", "/etc/services", "/etc/ssl/openssl.cnf",
	"/run/systemd/resolve", "/usr/share/dns", "/usr/share/zoneinfo", "/dev/urandom",
	"/dev/null", "/proc/self", "/sys/devices/system/cpu",
};

static bool
landlock_enter(const struct sandbox_paths *paths, const struct log *log, struct fault *fault)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_VERSION_FLAG);

	if (abi < 1) {
		log_info(log, "this kernel has no Landlock: files are not confined");
		return true;
	}
	uint64_t rights = LANDLOCK_ABI_1_RIGHTS | (abi >= 2 ? LANDLOCK_REFER : 0) |
			  (abi >= 3 ? LANDLOCK_TRUNCATE : 0);
	struct landlock_rules handled = { .handled = rights };
	int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);

	if (rules == -1)
		return fault_set(fault, "landlock_create_ruleset");
	bool ok = true;

	for (size_t i = 0; ok && i < paths->readable_count; i++)
		ok = landlock_allow(rules, paths->readable[i],
				    LANDLOCK_READ_FILE | LANDLOCK_READ_DIR, fault);
	for (size_t i = 0; ok && i < paths->writable_count; i++)
		ok = landlock_allow(rules, paths->writable[i], rights & ~LANDLOCK_EXECUTE, fault);
	if (ok && syscall(SYS_landlock_restrict_self, rules, 0) == -1)
		ok = fault_set(fault, "landlock_restrict_self");
	(void)close(rules);
	return ok;
}

/* What a worker, its commit thread and libunbound call; anything else fails with EPERM. */
static const int worker_calls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(readv),
	SCMP_SYS(writev), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(close),
	SCMP_SYS(close_range), SCMP_SYS(stat), SCMP_SYS(fstat), SCMP_SYS(lstat),
	SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
	SCMP_SYS(lseek), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect),
	SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_setaffinity), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(accept), SCMP_SYS(accept4),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
	SCMP_SYS(getpeername), SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(shutdown),
	SCMP_SYS(socketpair), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select),
	SCMP_SYS(pselect6), SCMP_SYS(fcntl), SCMP_SYS(flock), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range), SCMP_SYS(fadvise64),
	SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(link),
	SCMP_SYS(linkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
	SCMP_SYS(getdents64), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(pipe2),
	SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(tgkill), SCMP_SYS(sysinfo),
	SCMP_SYS(uname), SCMP_SYS(getrlimit), SCMP_SYS(prlimit64), SCMP_SYS(umask),
	SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(sendfile),
	SCMP_SYS(copy_file_range), SCMP_SYS(restart_syscall), SCMP_SYS(membarrier),
	SCMP_SYS(getcwd), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(prctl), SCMP_SYS(set_tid_address),
	SCMP_SYS(getrusage), SCMP_SYS(times), SCMP_SYS(ioctl),
	/* the pickup process watches its directory */
	SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch), SCMP_SYS(signalfd4),
};

/* No worker of ours ever calls these: whoever does has taken it over. */
static const int fatal_calls[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(fork), SCMP_SYS(vfork),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(mount),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(bpf), SCMP_SYS(keyctl),
	SCMP_SYS(add_key), SCMP_SYS(unshare), SCMP_SYS(setns),
};

/* Threads, not processes; sockets of the families that mail, DNS and syslog use. */
static bool
conditional_calls_add(scmp_filter_ctx filter)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNIX, AF_NETLINK };

	if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) != 0)
		return false;
	/* its flags are in memory, where a filter cannot look: the C library falls back */
	if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0)) != 0)
			return false;
	}
	return true;
}

static bool
seccomp_enter(struct fault *fault)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool ok = filter != NULL;

	for (size_t i = 0; ok && i < ARRAY_LEN(worker_calls); i++)
		ok = seccomp_rule_add(filter, SCMP_ACT_ALLOW, worker_calls[i], 0) == 0;
	for (size_t i = 0; ok && i < ARRAY_LEN(fatal_calls); i++)
		ok = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, fatal_calls[i], 0) == 0;
	ok = ok && conditional_calls_add(filter) && seccomp_load(filter) == 0;
	if (filter != NULL)
		seccomp_release(filter);
	return ok ? true : fault_say(fault, "cannot install the system call filter");
}

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

void
dumps_forbid(void)
{
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	/* a sanitizer looks for leaks by tracing itself, which this forbids, too */
	if (!IS_SANITIZED)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

bool
sandbox_enter(const struct sandbox_paths *paths, const struct log *log, struct fault *fault)
{
	const size_t common = ARRAY_LEN(worker_readable);
	const char **readable = memory_new_array(common + paths->readable_count,
						 sizeof(*readable));
	struct sandbox_paths all = {
		.readable = readable,
		.readable_count = common + paths->readable_count,
		.writable = paths->writable,
		.writable_count = paths->writable_count,
	};

	memcpy(readable, worker_readable, sizeof(worker_readable));
	for (size_t i = 0; i < paths->readable_count; i++)
		readable[common + i] = paths->readable[i];

	bool ok = true;

	if (IS_SANITIZED)
		log_info(log, "built with sanitizers, which need what a sandbox forbids: none");
	else
		ok = landlock_enter(&all, log, fault) && seccomp_enter(fault);
	free(readable);
	return ok;
}

/* What no helper of ours calls, whatever library runs in it. */
static const int helper_fatal_calls[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(fork), SCMP_SYS(vfork),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(mount),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(bpf), SCMP_SYS(unshare),
	SCMP_SYS(setns), SCMP_SYS(kill), SCMP_SYS(pidfd_open),
};

static bool
seccomp_enter_helper(struct fault *fault)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	bool ok = filter != NULL;

	for (size_t i = 0; ok && i < ARRAY_LEN(helper_fatal_calls); i++)
		ok = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, helper_fatal_calls[i], 0) ==
		     0;
	ok = ok && seccomp_load(filter) == 0;
	if (filter != NULL)
		seccomp_release(filter);
	return ok ? true : fault_say(fault, "cannot install the system call filter");
}

bool
sandbox_enter_helper(const struct log *log, struct fault *fault)
{
	static const char *const readable[] = { "/" };
	static const char *const writable[] = { "/tmp", "/var/tmp", "/dev/null" };
	const struct sandbox_paths paths = {
		.readable = readable, .readable_count = ARRAY_LEN(readable),
		.writable = writable, .writable_count = ARRAY_LEN(writable),
	};

	if (IS_SANITIZED)
		return true;
	return landlock_enter(&paths, log, fault) && seccomp_enter_helper(fault);
}
