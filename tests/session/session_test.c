/* SPDX-License-Identifier: ISC */
/* session/: what clients are told, what is recorded, what is stored. */
#include "session/session_test.h"

#include "suite.h"

int
main(void)
{
	Suite *suite = suite_create("session");

	suite_add_tcase(suite, dialog_tcase());
	suite_add_tcase(suite, order_tcase());
	suite_add_tcase(suite, content_tcase());
	suite_add_tcase(suite, endurance_tcase());
	suite_add_tcase(suite, record_tcase());
	suite_add_tcase(suite, passage_tcase());
	suite_add_tcase(suite, nat_sketch_tcase());
	return suite_main(suite);
}
