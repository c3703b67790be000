/* SPDX-License-Identifier: ISC */
/* base/base64.h: the vectors of RFC 4648 s.10, and what is not base64. */
#include "base/base64.h"

#include "suite.h"

#include <stdlib.h>

static const struct { const char *plain, *coded; } vectors[] = {
	{ "", "" },		{ "f", "Zg==" },	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
};

START_TEST(encodes_and_decodes_the_vectors_of_the_rfc)
{
	struct buffer out;
	char plain[BASE64_DECODED_SIZE(8)];
	size_t len;

	buffer_init(&out, 100);
	ck_assert(base64_encode(&out, span_of(vectors[_i].plain)));
	ck_assert_str_eq(buffer_text(&out), vectors[_i].coded);
	ck_assert(base64_decode(buffer_span(&out), plain, &len) == PARSE_OK);
	ck_assert(span_equal((struct span){ plain, len }, span_of(vectors[_i].plain)));
	buffer_reset(&out);
}
END_TEST

static const char *const refused[] = {
	"Z",	 "Zg",	   "Zg=",      "Zg===",	   "====",     "=Zg=",	   "Zg==Zg==", "Zm9v\n",
	" Zm9v", "Zm 9v",  "Zm9v Zg==", "Zm9-",	   "Zm9_",     "Zh==",	   "Zm9=",     "*",
	"Zm9vZ=", "Zg=a",  "Z===",     "\x80\x80\x80\x80",
};

START_TEST(refuses_what_is_not_base64)
{
	char plain[BASE64_DECODED_SIZE(16)];
	size_t len = 77;

	ck_assert_msg(base64_decode(span_of(refused[_i]), plain, &len) == PARSE_BAD, "%s",
		      refused[_i]);
	ck_assert_uint_eq(len, 77);
}
END_TEST

START_TEST(every_length_comes_back_as_it_went)
{
	struct buffer out;

	buffer_init(&out, 4096);
	for (size_t n = 0; n < 600; n++) {
		char bytes[600];
		char *back = malloc(BASE64_DECODED_SIZE(BASE64_ENCODED_LEN(n)));
		size_t len;

		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(rand() & 0xff);
		buffer_clear(&out);
		ck_assert(base64_encode(&out, (struct span){ bytes, n }));
		ck_assert_uint_eq(out.len, BASE64_ENCODED_LEN(n));
		ck_assert(base64_decode(buffer_span(&out), back, &len) == PARSE_OK);
		ck_assert(span_equal((struct span){ bytes, n }, (struct span){ back, len }));
		free(back);
	}
	buffer_reset(&out);
}
END_TEST

START_TEST(what_does_not_fit_changes_nothing)
{
	struct buffer out;

	buffer_init(&out, 7);
	ck_assert(!base64_encode(&out, span_of("foob")));
	ck_assert(out.is_over);
	ck_assert_uint_eq(out.len, 0);
	buffer_reset(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("base64");
	TCase *tc = tcase_create("base64");

	tcase_add_loop_test(tc, encodes_and_decodes_the_vectors_of_the_rfc, 0,
			    ARRAY_LEN(vectors));
	tcase_add_loop_test(tc, refuses_what_is_not_base64, 0, ARRAY_LEN(refused));
	tcase_add_test(tc, every_length_comes_back_as_it_went);
	tcase_add_test(tc, what_does_not_fit_changes_nothing);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
