/* SPDX-License-Identifier: BSD-2-Clause */
/* postconf: show and change the configuration. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/lines.h"
#include "lib/map/map.h"
#include "tools/postconf/postconf.h"

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
	fputs("usage: postconf [-dhHjnx] [-c dir] [-o name=value] [name ...]\n"
	      "       postconf -e [-c dir] name=value ...\n"
	      "       postconf -X|-# [-c dir] name ...\n"
	      "       postconf -M|-F|-P [-e|-X|-#] [-c dir] [service[/type[/name]][=value] ...]\n"
	      "       postconf -m\n",
	      stderr);
	exit(1);
}

/* --- output and files --------------------------------------------------------------------------------------------- */

static void print_json_string(struct span s)
{
	putchar('"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 32 || c == 127)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

void print_setting(const struct options *o, const char *name, struct span value)
{
	if (o->json) {
		fputs("{\"name\": ", stdout);
		print_json_string(span_cstr(name));
		fputs(", \"value\": ", stdout);
		print_json_string(value);
		puts("}");
		return;
	}
	if (!o->no_names)
		printf(o->no_values ? "%s\n" : value.len ? "%s = " : "%s =", name);
	if (o->no_values && !o->no_names)
		return;
	fwrite(value.ptr ? value.ptr : "", 1, value.len, stdout);
	putchar('\n');
}

void read_or_die(const char *path, struct buf *text)
{
	buf_init(text, LINES_FILE_MAX);
	if (lines_read_file(path, text) < 0)
		log_fatal("open %s: %s", path, strerror(errno));
}

void write_or_die(const char *path, struct span text)
{
	if (edit_replace_file(path, text) < 0)
		log_fatal("write %s: %s", path, strerror(errno));
}

static int list_types(void)
{
	const char *name;

	for (size_t i = 0; (name = map_type_name(i)) != NULL; i++)
		puts(name);
	puts("proxy");
	return 0;
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static void take_option(struct options *o, int c)
{
	switch (c) {
	case 'c':
		o->dir = optarg;
		break;
	case 'd':
		o->defaults = true;
		break;
	case 'n':
		o->set_only = true;
		break;
	case 'x':
		o->expand = true;
		break;
	case 'j':
		o->json = true;
		break;
	case 'h':
		o->no_names = true;
		break;
	case 'H':
		o->no_values = true;
		break;
	case 'e':
		o->edit = true;
		o->how = EDIT_SET;
		break;
	case 'X':
		o->edit = true;
		o->how = EDIT_REMOVE;
		break;
	case '#':
		o->edit = true;
		o->how = EDIT_COMMENT;
		break;
	case 'M':
		o->mode = MODE_ENTRIES;
		break;
	case 'F':
		o->mode = MODE_FIELDS;
		break;
	case 'P':
		o->mode = MODE_OVERRIDES;
		break;
	case 'm':
		o->mode = MODE_TYPES;
		break;
	case 'o':
		if (o->noverrides == OVERRIDES_MAX)
			usage();
		o->overrides[o->noverrides++] = optarg;
		break;
	case 'f':
	case 'v':
	case 'p':
		break; /* folding, verbosity, main.cf: taken and without effect */
	default:
		usage();
	}
}

static bool is_assignment(int argc, char **argv)
{
	return argc > 0 && strchr(argv[0], '=') != NULL;
}

int main(int argc, char **argv)
{
	struct options o = { .mode = MODE_PARAMETERS };
	int c;

	log_open("postconf", LOG_TO_STDERR, -1, 0);
	while ((c = getopt(argc, argv, "c:dnxjhHeX#MFPmo:fvp")) != -1)
		take_option(&o, c);
	argc -= optind;
	argv += optind;
	o.dir = conf_dir(o.dir);
	if (!o.edit && is_assignment(argc, argv)) {
		o.edit = true;
		o.how = EDIT_SET;
	}
	if (o.edit && argc == 0)
		usage();
	if (o.mode == MODE_TYPES)
		return list_types();
	if (o.mode == MODE_PARAMETERS)
		return o.edit ? edit_parameters(&o, argv, (size_t)argc) : list_parameters(&o, argv, (size_t)argc);
	return o.edit ? edit_services(&o, argv, (size_t)argc) : list_services(&o, argv, (size_t)argc);
}
