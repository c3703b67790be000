/* SPDX-License-Identifier: ISC */
/*
 * What a decision costs: nanoseconds each at 10 and 1,000 grants, and with tables of 10^6
 * networks, senders, recipients and logins; how long they take to compile, and the memory.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "policy/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ATTEMPTS    4096 /* different ones, so that caches have work */
#define ROUNDS	    100	 /* of all of them; the fastest counts */
#define TEXT_OCTETS 48

/* Texts of a list, and where they are kept. */
struct texts {
	struct span *items;
	char (*bytes)[TEXT_OCTETS];
	size_t count;
};

static uint64_t
random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static struct texts
texts_new(size_t count)
{
	return (struct texts){
		.items = memory_new_array(count, sizeof(struct span)),
		.bytes = memory_new_array(count, TEXT_OCTETS),
		.count = count,
	};
}

static void text_set(struct texts *t, size_t i, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void
text_set(struct texts *t, size_t i, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int len = vsnprintf(t->bytes[i], TEXT_OCTETS, format, args);

	va_end(args);
	t->items[i] = (struct span){ t->bytes[i], len < 0 ? 0 : (size_t)len };
}

static void
texts_free(struct texts *t)
{
	free(t->items);
	free(t->bytes);
}

static struct text_list
texts_part(const struct texts *t, size_t first, size_t count)
{
	return (struct text_list){ t->items + first, count };
}

static void
complain_print(void *context, bool is_error, const char *file, unsigned line,
	       const char *text)
{
	(void)context;
	if (is_error)
		(void)fprintf(stderr, "%s:%u: %s\n", file == NULL ? "-" : file, line,
			      text);
}

/* Of this thread: others on the machine are not counted. */
static int64_t
cpu_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == -1)
		return 0;
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static long
memory_kib(void)
{
	long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	char line[128] = "";

	if (file == NULL)
		return 0;
	if (fgets(line, sizeof(line), file) != NULL) {
		char *end;

		pages = strtol(line, &end, 10);
		resident = strtol(end, NULL, 10);
	}
	(void)fclose(file);
	(void)pages;
	return resident * 4;
}

/* ---- What is decided ---- */

struct attempt {
	struct facts facts;
	struct address sender;
	struct address recipient;
	char sender_text[TEXT_OCTETS];
	char recipient_text[TEXT_OCTETS];
	char user[TEXT_OCTETS];
};

static struct ip
v4_of(uint32_t number)
{
	struct ip ip = { { [10] = 0xff,
			   [11] = 0xff,
			   [12] = (unsigned char)(number >> 24),
			   [13] = (unsigned char)(number >> 16),
			   [14] = (unsigned char)(number >> 8),
			   [15] = (unsigned char)number } };

	return ip;
}

/* An address that was parsed already, as a session has it. */
static struct address
address_make(char text[TEXT_OCTETS], const char *local, unsigned long number,
	     const char *domain)
{
	int len = snprintf(text, TEXT_OCTETS, "%s%lu@%s", local, number, domain);
	struct span all = { text, len < 0 ? 0 : (size_t)len };
	size_t at = span_find(all, '@');

	return (struct address){
		.text = all,
		.local = span_first(all, at),
		.domain = span_skip(all, at + 1),
	};
}

static void
measure(const char *what, const struct policy *policy, struct attempt *attempts,
	enum verdict_kind want)
{
	size_t wrong = 0;
	int64_t best = INT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = cpu_ns();

		for (size_t i = 0; i < ATTEMPTS; i++) {
			struct verdict v =
			    policy_decide(policy, &attempts[i].facts, STAGE_QUOTA);

			wrong += v.kind != want;
		}
		int64_t took = cpu_ns() - start;

		best = took < best ? took : best;
	}
	(void)printf("%-46s %8.0f ns/decision%s\n", what, (double)best / ATTEMPTS,
		     wrong == 0 ? "" : "  (WRONG VERDICTS)");
}

/* ---- Small policies: every grant has a network, a login and senders of its own ---- */

enum spread {
	CLIENT_OF_ONE, /* each grant has a network of its own */
	CLIENT_OF_ALL, /* all grants name the same network */
	STRANGER,
};

static void
bench_grants(size_t count, enum spread spread)
{
	static const struct span star = { "*", 1 };
	struct texts names = texts_new(count), networks = texts_new(count);
	struct texts senders = texts_new(count * 3);
	struct grant_source *grants = memory_new_array(count, sizeof(*grants));
	struct attempt *attempts = memory_new_array(ATTEMPTS, sizeof(*attempts));
	uint64_t state = 1;
	char title[96];

	for (size_t i = 0; i < count; i++) {
		text_set(&names, i, "app%zu", i);
		if (spread == CLIENT_OF_ALL)
			text_set(&networks, i, "10.0.0.0/8");
		else
			text_set(&networks, i, "10.%zu.%zu.0/24", i / 256, i % 256);
		text_set(&senders, i * 3, "noreply@app%zu.example.com", i);
		text_set(&senders, i * 3 + 1, "@app%zu.example.com", i);
		text_set(&senders, i * 3 + 2, "@*.app%zu.example.com", i);
		grants[i] = (struct grant_source){
			.name = names.items[i],
			.networks = texts_part(&networks, i, 1),
			.senders = texts_part(&senders, i * 3, 3),
			.recipients = { &star, 1 },
			.expires_ms = 2000000 + (int64_t)i,
		};
	}
	const struct policy_source source = { .grants = grants, .grant_count = count };
	struct policy *policy = policy_new(&source, complain_print, NULL);

	for (size_t i = 0; i < ATTEMPTS; i++) {
		struct attempt *a = &attempts[i];
		uint32_t app = (uint32_t)(random_next(&state) % count);
		char domain[TEXT_OCTETS];

		(void)snprintf(domain, sizeof(domain), "mail.app%u.example.com", app);
		a->sender = address_make(a->sender_text, "someone", i, domain);
		a->recipient =
		    address_make(a->recipient_text, "customer", i, "partner.example.net");
		a->facts = (struct facts){
			.connector = NO_CONNECTOR,
			.client = v4_of((spread == STRANGER ? 0xc0000200 : 0x0a000000) |
					app << 8 | 7),
			.now_wall_ms = 1000000,
			.sender = &a->sender,
			.recipient = &a->recipient,
		};
	}
	(void)snprintf(title, sizeof(title), "%zu grants, %s", count,
		       spread == STRANGER      ? "client unknown to all" :
		       spread == CLIENT_OF_ALL ? "client known to all" :
						 "client known to one");
	if (policy != NULL)
		measure(title, policy, attempts,
			spread == STRANGER ? VERDICT_REFUSED : VERDICT_RELAYED);
	policy_free(&policy);
	free(attempts);
	free(grants);
	texts_free(&names);
	texts_free(&networks);
	texts_free(&senders);
}

/* ---- Large tables ---- */

static void
bench_tables(size_t count, size_t grant_count)
{
	static const struct span table_names[] = {
		{ "table:networks", 14 },
		{ "table:senders", 13 },
		{ "table:recipients", 16 },
		{ "table:users", 11 },
	};
	struct texts lists[4], names = texts_new(grant_count);
	struct table_source tables[4];
	struct grant_source *grants = memory_new_array(grant_count, sizeof(*grants));
	struct attempt *attempts = memory_new_array(ATTEMPTS, sizeof(*attempts));
	uint64_t state = 1;

	for (size_t t = 0; t < 4; t++)
		lists[t] = texts_new(count);
	for (size_t i = 0; i < count; i++) {
		/* scattered, so that no two are neighbours; odd multipliers give each once */
		uint32_t address = (uint32_t)i * 4093U << 4;

		text_set(&lists[0], i, "%u.%u.%u.%u/30", address >> 24,
			 address >> 16 & 255, address >> 8 & 255, address & 255);
		text_set(&lists[1], i, "sender%zu@d%zu.example.com", i, i % 1000);
		text_set(&lists[2], i, "recipient%zu@d%zu.example.net", i, i % 1000);
		text_set(&lists[3], i, "user%zu", i);
	}
	for (size_t t = 0; t < 4; t++)
		tables[t] = (struct table_source){
			.name = span_skip(table_names[t], 6),
			.type = t == 0 ? TABLE_NETWORK :
				t == 1 ? TABLE_SENDER :
				t == 2 ? TABLE_RECIPIENT :
					 TABLE_USER,
			.entries = { lists[t].items, count },
		};
	for (size_t i = 0; i < grant_count; i++) {
		text_set(&names, i, "app%zu", i);
		grants[i] = (struct grant_source){
			.name = names.items[i],
			.networks = { &table_names[0], 1 },
			.senders = { &table_names[1], 1 },
			.recipients = { &table_names[2], 1 },
			.users = { &table_names[3], 1 },
		};
	}
	const struct policy_source source = {
		.grants = grants,
		.grant_count = grant_count,
		.tables = tables,
		.table_count = 4,
	};
	long before = memory_kib();
	int64_t start = clock_monotonic_ns();
	struct policy *policy = policy_new(&source, complain_print, NULL);
	int64_t took = clock_monotonic_ns() - start;

	(void)printf("4 tables of %zu, %zu grants: compiled in %.2f s, %ld MiB\n", count,
		     grant_count, (double)took / 1e9, (memory_kib() - before) / 1024);
	for (size_t i = 0; i < ATTEMPTS; i++) {
		struct attempt *a = &attempts[i];
		unsigned long n = (unsigned long)(random_next(&state) % count);
		char domain[TEXT_OCTETS];
		int len = snprintf(a->user, sizeof(a->user), "user%lu", n);

		(void)snprintf(domain, sizeof(domain), "d%lu.example.com", n % 1000);
		a->sender = address_make(a->sender_text, "sender", n, domain);
		n = (unsigned long)(random_next(&state) % count);
		(void)snprintf(domain, sizeof(domain), "d%lu.example.net", n % 1000);
		a->recipient = address_make(a->recipient_text, "recipient", n, domain);
		a->facts = (struct facts){
			.connector = NO_CONNECTOR,
			.client = v4_of(
			    (uint32_t)(random_next(&state) % count) * 4093U << 4 | 1),
			.user = { a->user, len < 0 ? 0 : (size_t)len },
			.sender = &a->sender,
			.recipient = &a->recipient,
		};
	}
	if (policy != NULL)
		measure("  client, login, sender, recipient in them", policy, attempts,
			VERDICT_RELAYED);
	for (size_t i = 0; i < ATTEMPTS; i++)
		attempts[i].facts.client = v4_of((uint32_t)random_next(&state) | 0xc);
	if (policy != NULL)
		measure("  client in none of them", policy, attempts, VERDICT_REFUSED);
	policy_free(&policy);
	free(attempts);
	free(grants);
	for (size_t t = 0; t < 4; t++)
		texts_free(&lists[t]);
	texts_free(&names);
}

int
main(void)
{
	static const size_t counts[] = { 10, 1000, 10000 };

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		bench_grants(counts[i], CLIENT_OF_ONE);
		bench_grants(counts[i], CLIENT_OF_ALL);
		bench_grants(counts[i], STRANGER);
	}
	bench_tables(1000000, 1);
	bench_tables(1000000, 1000);
	return 0;
}
