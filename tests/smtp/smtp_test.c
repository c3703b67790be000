/* SPDX-License-Identifier: ISC */
/* smtp/: addresses, commands, replies, bodies, headers, envelopes. */
#include "smtp_test.h"

#include "suite.h"

int
main(void)
{
	Suite *suite = suite_create("smtp");

	suite_add_tcase(suite, address_tcase());
	suite_add_tcase(suite, command_line_tcase());
	suite_add_tcase(suite, data_stream_tcase());
	suite_add_tcase(suite, envelope_tcase());
	suite_add_tcase(suite, header_block_tcase());
	suite_add_tcase(suite, reply_tcase());
	suite_add_tcase(suite, submission_tcase());
	suite_add_tcase(suite, xclient_tcase());
	return suite_main(suite);
}
