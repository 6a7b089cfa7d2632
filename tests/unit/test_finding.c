/* core/data/finding */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/finding.h"

static void findings_are_printed_with_their_place(void **state)
{
	struct findings findings;
	struct buffer out;

	findings_init(&findings);
	buffer_init(&out);
	assert_null(findings_first_error(&findings));
	findings_add(&findings, SEVERITY_NOTE, "a-note", "f.yaml", 0, 0, "the whole %s", "file");
	findings_add(&findings, SEVERITY_ERROR, "an-error", "f.yaml", 3, 7, "bad");
	finding_print(&findings.items[0], &out);
	assert_string_equal(out.data, "f.yaml: note: the whole file [a-note]");
	buffer_clear(&out);
	finding_print(findings_first_error(&findings), &out);
	assert_string_equal(out.data, "f.yaml:3:7: error: bad [an-error]");
	assert_int_equal(findings_count(&findings, SEVERITY_ERROR), 1);
	assert_int_equal(findings_count(&findings, SEVERITY_WARNING), 0);
	buffer_finish(&out);
	findings_finish(&findings);
}

static void many_are_kept_and_nowhere_is_allowed(void **state)
{
	struct findings findings;

	findings_init(&findings);
	for (int i = 0; i < 100; i++)
		findings_add(&findings, SEVERITY_WARNING, "w", "f", 1, 1, "%d", i);
	findings_add(NULL, SEVERITY_ERROR, "e", "f", 1, 1, "nobody listens");
	assert_int_equal(findings_count(&findings, SEVERITY_WARNING), 100);
	assert_string_equal(findings.items[99].text, "99");
	findings_finish(&findings);
}

static void a_text_that_is_cut_in_a_character_stays_text(void **state)
{
	struct findings findings;

	findings_init(&findings);
	findings_add(&findings, SEVERITY_NOTE, "n", "f", 1, 1, "`%.2s`", "x\u00e9");
	assert_string_equal(findings.items[0].text, "`x?`");
	findings_finish(&findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings_are_printed_with_their_place),
		cmocka_unit_test(many_are_kept_and_nowhere_is_allowed),
		cmocka_unit_test(a_text_that_is_cut_in_a_character_stays_text),
	};

	return cmocka_run_group_tests_name("finding", tests, NULL, NULL);
}
