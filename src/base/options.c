/* SPDX-License-Identifier: MIT */
/*
 * base/options.c - reads the options from the environment
 *
 * Idea      the table of option_table.h becomes rows; every value, whatever its kind, is read as one
 *           int64_t and stored by its row. Kinds that are words have their words in a second table.
 * Context   first call of the allocator: no malloc, no stdio, no getenv (it may be interposed).
 * Failure   see options.h: say it, leave the option as it was, go on.
 * Tests     tests/unit/base/test_options.c
 */
#include "base/options.h"
#include "base/fmt.h"

#include "base/auxv.h"
#include "base/basics.h"
#include "base/similar.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/auxv.h>

#define PREFIX "STELE_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define LIST "STELE_OPTIONS"

#define AS_DEFAULT(name, kind, init, min, max, meaning) init,
#define AS_ROW(name, kind, init, min, max, meaning)                                                \
	{                                                                                          \
		#name,	STELE_OPTION_##kind, offsetof(struct stele_options, name), init, min, max, \
		meaning                                                                            \
	},

#define DEFAULTS                                                                                   \
	{                                                                                          \
		STELE_OPTION_TABLE(AS_DEFAULT)                                                     \
	}

struct stele_options stele_opt = DEFAULTS;

bool stele_is_quiet(void)
{
	return stele_opt.quiet;
}

const struct stele_option_row stele_option_rows[] = { STELE_OPTION_TABLE(AS_ROW) };
const size_t stele_nr_option_rows = STELE_ARRAY_SIZE(stele_option_rows);

/* Variables with our prefix that are no options. */
static const char *const others[] = { "options", "malloc_so" };

/* Set by the first parse. Owner: the thread that starts the library. */
static bool parsed;

/* A piece of a string that lies elsewhere. */
struct text {
	const char *s;
	size_t n;
};

/*
 * The values that a kind accepts. Words stand for min, min + 1, ...; @synonyms are groups for the
 * same numbers. @is ends the sentence "'abc' is not ...".
 */
struct kind {
	const char *words;
	const char *synonyms[3];
	const char *is;
};

static const struct kind kinds[STELE_NR_OPTION_KINDS] = {
	[STELE_OPTION_BOOL] = { "0|1", { "no|yes", "off|on", "false|true" }, "0 or 1" },
	[STELE_OPTION_TRISTATE] = { "auto|0|1", { NULL }, "auto, 0 or 1" },
	[STELE_OPTION_PROFILE] = { STELE_PROFILE_WORDS, { NULL }, "one of " STELE_PROFILE_WORDS },
	[STELE_OPTION_INT] = { NULL, { NULL }, "a number" },
	[STELE_OPTION_SIZE] = { NULL, { NULL }, "a size" },
	[STELE_OPTION_POW2] = { NULL, { NULL }, "0 or a power of two" },
	[STELE_OPTION_ACTION] = { STELE_ACTION_WORDS, { NULL }, "one of " STELE_ACTION_WORDS },
	[STELE_OPTION_TEXT] = { NULL, { NULL }, NULL },
};

static bool same(struct text a, const char *s, size_t n)
{
	return a.n == n && memcmp(a.s, s, n) == 0;
}

/* Index of @t among the words of "a|b|c", or -1. */
static int word_index(const char *words, struct text t)
{
	for (int i = 0;; i++) {
		size_t n = strcspn(words, "|");

		if (same(t, words, n))
			return i;
		if (!words[n])
			return -1;
		words += n + 1;
	}
}

static int read_word(const struct stele_option_row *row, struct text t, int64_t *value)
{
	const struct kind *k = &kinds[row->kind];
	int i = word_index(k->words, t);

	for (size_t j = 0; i < 0 && j < STELE_ARRAY_SIZE(k->synonyms) && k->synonyms[j]; j++)
		i = word_index(k->synonyms[j], t);
	if (i < 0)
		return -EINVAL;
	*value = row->min + i;
	return 0;
}

/* Digits only; -ERANGE when it is a number, but none of ours. Moves @t past them. */
static int read_digits(struct text *t, int64_t *value)
{
	const char *start = t->s;
	bool fits = true;

	for (*value = 0; t->n && *t->s >= '0' && *t->s <= '9'; t->s++, t->n--)
		fits = fits && !__builtin_mul_overflow(*value, 10, value) &&
		       !__builtin_add_overflow(*value, *t->s - '0', value);
	if (t->s == start)
		return -EINVAL;
	return fits ? 0 : -ERANGE;
}

/* Bits to shift by for "k" and the like, 0 for no unit, -1 for anything else. */
static int unit_shift(struct text t)
{
	static const char units[] = "kmgt";
	const char *u;

	if (t.n == 0)
		return 0;
	u = t.n == 1 ? memchr(units, t.s[0] | 0x20, sizeof(units) - 1) : NULL;
	return u ? 10 * (int)(u - units + 1) : -1;
}

static int read_number(const struct stele_option_row *row, struct text t, int64_t *value)
{
	int err = read_digits(&t, value);
	int shift = row->kind == STELE_OPTION_INT && t.n ? -1 : unit_shift(t);

	if (err == -EINVAL || shift < 0)
		return -EINVAL;
	if (err || __builtin_mul_overflow(*value, (int64_t)1 << shift, value))
		return -ERANGE;
	if (*value == 0 && row->init == 0)
		return 0;
	if (row->kind == STELE_OPTION_POW2 && !stele_is_pow2((uint64_t)*value))
		return -EINVAL;
	return *value < row->min || *value > row->max ? -ERANGE : 0;
}

/* Where texts lie: the environment may change. */
static char texts[4 * (STELE_TEXT_MAX + 1)];
static size_t texts_used;

static int read_text(struct text t, int64_t *value)
{
	char *copy = texts + texts_used;

	*value = 0;
	if (!t.n)
		return 0;
	if (t.n > STELE_TEXT_MAX || sizeof(texts) - texts_used <= t.n)
		return -EINVAL;
	memcpy(copy, t.s, t.n);
	copy[t.n] = 0;
	texts_used += t.n + 1;
	*value = (int64_t)(intptr_t)copy;
	return 0;
}

static int read_value(const struct stele_option_row *row, struct text t, int64_t *value)
{
	if (row->kind == STELE_OPTION_TEXT)
		return read_text(t, value);
	return kinds[row->kind].words ? read_word(row, t, value) : read_number(row, t, value);
}

static void store(const struct stele_option_row *row, int64_t value)
{
	void *field = (char *)&stele_opt + row->offset;

	switch (row->kind) {
	case STELE_OPTION_BOOL:
		*(bool *)field = value != 0;
		break;
	case STELE_OPTION_SIZE:
	case STELE_OPTION_POW2:
		*(size_t *)field = (size_t)value;
		break;
	case STELE_OPTION_TEXT:
		*(const char **)field = (const char *)(intptr_t)value;
		break;
	default:
		*(int *)field = (int)value;
	}
}

int64_t stele_option_get(const struct stele_option_row *row)
{
	const void *field = (const char *)&stele_opt + row->offset;

	switch (row->kind) {
	case STELE_OPTION_BOOL:
		return *(const bool *)field;
	case STELE_OPTION_SIZE:
	case STELE_OPTION_POW2:
		return (int64_t) * (const size_t *)field;
	case STELE_OPTION_TEXT:
		return (int64_t)(intptr_t) * (const char *const *)field;
	default:
		return *(const int *)field;
	}
}

static void show_size(struct stele_out *o, int64_t value)
{
	static const char units[] = " kmgt";
	unsigned int u = 0;

	while (value && value % 1024 == 0 && u < sizeof(units) - 2) {
		value /= 1024;
		u++;
	}
	stele_out_i64(o, value);
	stele_out_chars(o, &units[u], u ? 1 : 0);
}

void stele_option_show_value(struct stele_out *o, const struct stele_option_row *row, int64_t value)
{
	const char *word = kinds[row->kind].words;

	if (row->kind == STELE_OPTION_TEXT) {
		stele_out_str(o, value ? (const char *)(intptr_t)value : "");
		return;
	}
	if (!word) {
		if (row->kind == STELE_OPTION_INT)
			stele_out_i64(o, value);
		else
			show_size(o, value);
		return;
	}
	for (int64_t i = row->min; i < value; i++)
		word += strcspn(word, "|") + 1;
	stele_out_chars(o, word, strcspn(word, "|"));
}

void stele_option_show_range(struct stele_out *o, const struct stele_option_row *row)
{
	if (kinds[row->kind].words) {
		stele_out_str(o, kinds[row->kind].words);
		return;
	}
	if (row->kind == STELE_OPTION_TEXT) {
		stele_out_str(o, "a text");
		return;
	}
	if (row->init == 0 && row->min > 0)
		stele_out_str(o, "0 or ");
	stele_option_show_value(o, row, row->min);
	stele_out_str(o, "..");
	stele_option_show_value(o, row, row->max);
}

static int complain(const struct stele_option_row *row, struct text value, int err)
{
	char range[64];
	struct stele_out o;

	if (row->kind == STELE_OPTION_TEXT) {
		stele_say("stele: option '%s': the text is longer than %d bytes\n", row->name,
			  STELE_TEXT_MAX);
		return err;
	}
	if (err == -EINVAL) {
		stele_say("stele: option '%s': '%.*s' is not %s\n", row->name, (int)value.n,
			  value.s, kinds[row->kind].is);
		return err;
	}
	stele_out_init(&o, range, sizeof(range));
	stele_option_show_range(&o, row);
	stele_say("stele: option '%s': '%.*s' is out of range %s\n", row->name, (int)value.n,
		  value.s, range);
	return err;
}

static int set_row(const struct stele_option_row *row, struct text t)
{
	int64_t value;
	int err = read_value(row, t, &value);

	if (err)
		return complain(row, t, err);
	store(row, value);
	return 0;
}

static const struct stele_option_row *find_option(struct text name)
{
	for (size_t i = 0; i < stele_nr_option_rows; i++) {
		if (same(name, stele_option_rows[i].name, strlen(stele_option_rows[i].name)))
			return &stele_option_rows[i];
	}
	return NULL;
}

/* Ends the message "unknown 'name'" with the nearest option, or variable, if it may be a typo. */
static void guess(struct stele_out *o, struct text name, bool variable)
{
	const char *best = NULL, *with = variable ? PREFIX : "";
	unsigned edits, least = UINT_MAX;

	for (size_t i = 0; i < stele_nr_option_rows + variable * STELE_ARRAY_SIZE(others); i++) {
		const char *to = i < stele_nr_option_rows ? stele_option_rows[i].name
							  : others[i - stele_nr_option_rows];

		edits = stele_edits(name.s, name.n, to);
		best = edits < least ? to : best;
		least = STELE_MIN(edits, least);
	}
	if (!stele_is_typo(least, name.n))
		return;
	stele_fmt(o, ", did you mean '%s", with);
	for (; *best; best++)
		stele_fmt(o, "%c", variable && *best >= 'a' ? *best & ~0x20 : *best);
	stele_out_str(o, "'?");
}

static int unknown(const char *where, struct text name, bool variable)
{
	char meant[80];
	struct stele_out o;

	stele_out_init(&o, meant, sizeof(meant));
	guess(&o, name, variable);
	if (variable)
		stele_say("stele: unknown variable '" PREFIX "%.*s'%s (see 'stele help options')\n",
			  (int)name.n, name.s, meant);
	else
		stele_say("stele: %s: unknown option '%.*s'%s (see 'stele help options')\n", where,
			  (int)name.n, name.s, meant);
	return -ENOENT;
}

static struct text trimmed(struct text t)
{
	for (; t.n && (*t.s == ' ' || *t.s == '\t'); t.n--)
		t.s++;
	while (t.n && (t.s[t.n - 1] == ' ' || t.s[t.n - 1] == '\t'))
		t.n--;
	return t;
}

int stele_option_set(const char *where, const char *item, size_t n)
{
	const char *eq = memchr(item, '=', n);
	size_t before = eq ? (size_t)(eq - item) : n;
	struct text name = trimmed((struct text){ item, before });
	const struct stele_option_row *row = find_option(name);

	if (!row)
		return unknown(where, name, false);
	if (!eq) {
		stele_say("stele: %s: option '%s' has no value (write %s=VALUE)\n", where,
			  row->name, row->name);
		return -EINVAL;
	}
	return set_row(row, trimmed((struct text){ eq + 1, n - before - 1 }));
}

static void read_list(const char *list)
{
	while (*list) {
		size_t n = strcspn(list, ",");

		if (trimmed((struct text){ list, n }).n)
			(void)stele_option_set(LIST, list, n);
		list += n + (list[n] == ',');
	}
}

/* The value of @var if it is the variable @name, else NULL. */
static const char *value_of(const char *var, const char *name)
{
	size_t n = strlen(name);

	return strncmp(var, name, n) == 0 && var[n] == '=' ? var + n + 1 : NULL;
}

/* The row of the variable STELE_<NAME>, whose name without the prefix is @name. */
static const struct stele_option_row *find_variable(struct text name)
{
	char lower[32];

	if (name.n > sizeof(lower))
		return NULL;
	for (size_t i = 0; i < name.n; i++) {
		if (name.s[i] >= 'a' && name.s[i] <= 'z')
			return NULL;
		lower[i] = name.s[i] >= 'A' && name.s[i] <= 'Z' ? (char)(name.s[i] | 0x20)
								: name.s[i];
	}
	return find_option((struct text){ lower, name.n });
}

static void read_variable(const char *var)
{
	struct text name = { var + PREFIX_LEN, strcspn(var, "=") - PREFIX_LEN };
	const char *value = name.s + name.n + 1;
	const struct stele_option_row *row = find_variable(name);

	if (row)
		(void)set_row(row, (struct text){ value, strlen(value) });
	else
		(void)unknown(NULL, name, true);
}

static bool is_other(const char *var)
{
	return value_of(var, LIST) || value_of(var, "STELE_MALLOC_SO");
}

void stele_options_read(char **envp, bool secure)
{
	const char *list;

	if (parsed)
		return;
	parsed = true;
	if (!envp || secure)
		return;
	for (char **e = envp; *e; e++) {
		if (strncmp(*e, PREFIX, PREFIX_LEN) == 0 && strchr(*e, '=') && !is_other(*e))
			read_variable(*e);
	}
	for (char **e = envp; *e; e++) {
		list = value_of(*e, LIST);
		if (list)
			read_list(list);
	}
	if (stele_opt.slabinfo_at_exit || stele_opt.stats_at_exit || stele_opt.leak_check)
		stele_say_keep();
}

void stele_options_parse(char **envp)
{
	stele_options_read(envp, stele_auxv(AT_SECURE) != 0);
}

void stele_options_reset(void)
{
	stele_opt = (struct stele_options)DEFAULTS;
	texts_used = 0;
	parsed = false;
}
