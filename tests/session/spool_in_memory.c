/* SPDX-License-Identifier: ISC */
/* The fixture's spool for most tests: in memory, and as it is told. */
#include "session/fake_spool.h"
#include "session/fixture.h"

#include <check.h>
#include <stdlib.h>

struct spool *
fixture_spool_open(struct fixture *f)
{
	struct spool *spool = calloc(1, sizeof(*spool));

	ck_assert_ptr_nonnull(spool);
	fake_spool_init(spool, f->loop);
	return spool;
}

void
fixture_spool_close(struct fixture *f)
{
	fake_spool_release(f->spool);
	fixture_settle(f);
	ck_assert_uint_eq(f->spool->drafts, 0);
	ck_assert_uint_eq(f->spool->commits_waiting, 0);
	fake_spool_reset(f->spool);
	free(f->spool);
}
