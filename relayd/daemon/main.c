/* SPDX-License-Identifier: ISC */
/* relayd's command line; see relayd(8). */
#define _DEFAULT_SOURCE /* LOG_PERROR and friends */
#include "config.h"

#include "base/clock.h"
#include "config/settings.h"
#include "daemon/certificates.h"
#include "daemon/supervisor.h"
#include "delivery/upstream.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define EXIT_NO	     1
#define EXIT_USAGE   2
#define EXIT_TROUBLE 3

struct options {
	const char *path;
	bool only_checks;
	bool detaches;
	bool is_verbose;
};

static const char usage_text[] =
    "usage: relayd [-dtv] [-c FILE]\n"
    "\n"
    "relayd decides which applications may relay mail through this host, says why when\n"
    "it refuses, and delivers what it accepts.\n"
    "\n"
    "  -c, --config FILE  read FILE instead of " CONFIG_PATH_DEFAULT "\n"
    "  -t, --check        check the configuration, warn of what looks wrong, and end\n"
    "  -d, --detach       go on in the background once mail is accepted; log to syslog\n"
    "  -v, --verbose      log more\n"
    "  -V, --version      print the version\n"
    "  -h, --help         print this\n"
    "\n"
    "Without -d relayd stays in the foreground and logs to standard error. SIGHUP reads\n"
    "the configuration again without dropping a session; SIGTERM ends sessions and stops.\n"
    "Exit status: 0 stopped as asked or configuration good, 1 configuration bad,\n"
    "2 wrong usage, 3 trouble.\n"
    "\n"
    "See also relayd.conf(5), relayctl(8).\n";

/* An exit status, or -1 to go on. */
static int
options_read(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 't' },
		{ "detach", no_argument, NULL, 'd' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "c:tdvVh", known, NULL)) != -1) {
		switch (letter) {
		case 'c':
			options->path = optarg;
			break;
		case 't':
			options->only_checks = true;
			break;
		case 'd':
			options->detaches = true;
			break;
		case 'v':
			options->is_verbose = true;
			break;
		case 'V':
			(void)puts("relayd " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			(void)fputs(usage_text, stdout);
			return EXIT_SUCCESS;
		default:
			(void)fputs("Try 'relayd --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "relayd: unexpected argument '%s'\nTry 'relayd --help'.\n",
			      argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

static void
complain_print(void *context, bool is_error, const char *file, unsigned line, const char *text)
{
	(void)context;
	(void)file;
	(void)line;
	(void)fprintf(stderr, "%s: %s\n", is_error ? "error" : "warning", text);
}

/* What a start would read of certificates and passwords. */
static bool
upstream_check(const struct settings *settings)
{
	struct log log = { .level = LOG_LEVEL_WARN, .sink = LOG_SINK_STDERR };
	struct fault fault = { .error = 0 };
	struct upstream *upstream = upstream_new(settings->routes, settings->route_count,
						 clock_wall_ms(), &log, &fault);
	bool is_good = upstream != NULL;

	if (!is_good)
		(void)fprintf(stderr, "error: %s\n", fault_text(&fault));
	upstream_free(&upstream);
	return is_good;
}

static int
configuration_check(struct settings *settings)
{
	int64_t now_ms = clock_wall_ms();
	struct fault fault = { .error = 0 };
	struct tls_server *tls;

	if (!upstream_check(settings)) {
		settings_free(&settings);
		return EXIT_NO;
	}

	if (!certificates_open(settings, NULL, now_ms, &tls, &fault)) {
		(void)fprintf(stderr, "error: %s\nrelayd: %s is not usable\n", fault_text(&fault),
			      settings->path);
		settings_free(&settings);
		return EXIT_NO;
	}
	settings_lint(settings, now_ms, complain_print, NULL);
	certificates_lint(tls, now_ms, complain_print, NULL);
	tls_server_free(&tls);
	(void)printf("%s: configuration is good: %zu connectors, %zu grants, %zu routes\n",
		     settings->path, settings->source.connector_count,
		     settings->source.grant_count, settings->route_count);
	settings_free(&settings);
	return EXIT_SUCCESS;
}

/*
 * Go on in a child of init's, in a session of its own, with the descriptor that tells the
 * waiting parent of the successful start. The parent does not return.
 */
static int
detach(void)
{
	int ends[2];
	char octet;

	if (pipe(ends) == -1)
		return -1;
	pid_t pid = fork();

	if (pid == -1)
		return -1;
	if (pid > 0) {
		(void)close(ends[1]);
		_exit(read(ends[0], &octet, 1) == 1 ? EXIT_SUCCESS : EXIT_TROUBLE);
	}
	(void)close(ends[0]);
	(void)setsid();
	int null = open("/dev/null", O_RDWR);

	if (null != -1) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			(void)close(null);
	}
	(void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	return ends[1];
}

/* A connection is a descriptor: take as many as this process may have. */
static void
descriptors_raise(const struct log *log)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		log_warn(log, "cannot raise the limit of descriptors");
}

int
main(int argc, char **argv)
{
	struct options options = { .path = CONFIG_PATH_DEFAULT };
	int status = options_read(&options, argc, argv);
	int ready_fd = -1;

	if (status != -1)
		return status;
	struct settings *settings = settings_load(options.path, complain_print, NULL);

	if (settings == NULL) {
		(void)fprintf(stderr, "relayd: %s is not usable; nothing was started\n",
			      options.path);
		return EXIT_NO;
	}
	if (options.only_checks)
		return configuration_check(settings);

	struct log log = {
		.level = options.is_verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
		.sink = options.detaches ? LOG_SINK_SYSLOG : LOG_SINK_STDERR,
		.has_time = isatty(STDERR_FILENO) == 0,
	};

	descriptors_raise(&log);
	openlog("relayd", LOG_PID | LOG_NDELAY, LOG_MAIL);
	if (options.detaches) {
		ready_fd = detach();
		if (ready_fd == -1) {
			perror("relayd: cannot detach");
			return EXIT_TROUBLE;
		}
	}
	return supervisor_run(settings, &log, ready_fd);
}
