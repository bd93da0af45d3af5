/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/mime.h"

#include <string.h>

#include "lib/base/must.h"
#include "lib/proto/header.h"

/* A place in the message, with the line ends counted up to it. */
struct mark {
	size_t at;
	uint64_t lf;   /* line ends */
	uint64_t bare; /* those of them that are a lone LF */
};

/* A container that is open. The message itself is at the bottom, as a message without delimiters. */
struct frame {
	struct mime_part *part;
	struct mime_part *last_child;
	struct mark body;
	struct span boundary; /* ptr NULL: message, or a multipart whose closing delimiter has been seen */
	bool digest;
};

struct parser {
	struct arena *arena;
	struct span msg;
	struct mark pos;      /* the start of the next line */
	struct mark text_end; /* the end of the line before it, its line end not counted */
	struct frame stack[MIME_DEPTH_MAX];
	size_t depth;
	size_t nparts;
	struct mime_part *leaf; /* open part that contains no others, or NULL in preamble and epilogue */
	struct mark leaf_body;
};

/* --- lines -------------------------------------------------------------------------------------------------------- */

static struct span rest(const struct parser *p)
{
	return span_skip(p->msg, p->pos.at);
}

/* Step over one line; returns it without its line end. */
static struct span take_line(struct parser *p)
{
	struct span s = rest(p);
	ptrdiff_t lf = span_chr(s, '\n');
	size_t len = lf < 0 ? s.len : (size_t)lf;
	bool cr = lf > 0 && s.ptr[lf - 1] == '\r';

	p->text_end = p->pos;
	p->text_end.at += len - cr;
	p->pos.at += len + (lf >= 0);
	p->pos.lf += lf >= 0;
	p->pos.bare += lf >= 0 && !cr;
	return span_head(s, len - cr);
}

static struct mime_size size_between(struct mark from, struct mark to)
{
	return (struct mime_size){ to.at - from.at + (to.bare - from.bare), to.lf - from.lf };
}

struct mime_size mime_size_of(struct span text)
{
	struct mime_size size = { text.len, 0 };
	ptrdiff_t lf;

	for (char before = '\0'; (lf = span_chr(text, '\n')) >= 0; text = span_skip(text, (size_t)lf + 1)) {
		size.lines++;
		size.crlf += lf > 0 ? text.ptr[lf - 1] != '\r' : before != '\r';
		before = '\n';
	}
	return size;
}

/* --- delimiters --------------------------------------------------------------------------------------------------- */

enum delimiter { NO_DELIMITER, NEXT_PART, LAST_PART };

/* Only blanks may follow a delimiter (RFC 2046 5.1.1: transport padding). */
static enum delimiter delimits(struct span line, struct span boundary)
{
	line = span_skip(line, 2);
	if (boundary.ptr == NULL || line.len < boundary.len || memcmp(line.ptr, boundary.ptr, boundary.len) != 0)
		return NO_DELIMITER;
	line = span_trim(span_skip(line, boundary.len));
	if (line.len == 0)
		return NEXT_PART;
	return span_is(line, "--") ? LAST_PART : NO_DELIMITER;
}

/* Innermost container that the line delimits; *frame_r is its place on the stack. */
static enum delimiter find_delimiter(struct parser *p, struct span line, size_t *frame_r)
{
	if (line.len < 3 || line.ptr[0] != '-' || line.ptr[1] != '-' || p->nparts >= MIME_PARTS_MAX)
		return NO_DELIMITER;
	for (size_t i = p->depth; i-- > 0;) {
		enum delimiter found = delimits(line, p->stack[i].boundary);

		if (found != NO_DELIMITER) {
			*frame_r = i;
			return found;
		}
	}
	return NO_DELIMITER;
}

/* --- closing ------------------------------------------------------------------------------------------------------ */

static void set_body(struct parser *p, struct mime_part *part, struct mark from, struct mark to)
{
	must(from.at <= to.at);
	part->body = span_of(p->msg.ptr + from.at, to.at - from.at);
	part->body_size = size_between(from, to);
}

static void set_default_type(struct parser *p, struct mime_part *part, const char *type, const char *subtype)
{
	part->type = span_cstr(type);
	part->subtype = span_cstr(subtype);
	part->params = (struct mime_params){ 0 };
	if (strcmp(type, "text") != 0)
		return;
	part->params.list = arena_alloc(p->arena, sizeof *part->params.list);
	part->params.list[0] = (struct mime_param){ SPAN("charset"), SPAN("us-ascii") };
	part->params.count = 1;
}

static void close_leaf(struct parser *p, struct mark end)
{
	if (p->leaf)
		set_body(p, p->leaf, p->leaf_body, end);
	p->leaf = NULL;
}

/* Where the innermost open body begins: the leaf's, or that of a container still in its preamble. */
static struct mark innermost_body(const struct parser *p)
{
	if (p->leaf)
		return p->leaf_body;
	return p->depth ? p->stack[p->depth - 1].body : p->pos;
}

/*
 * Close the open leaf and all containers above the first keep of them. Right behind a header the line end before a
 * delimiter is that header's, and stays with it and with all that it is in.
 */
static void close_above(struct parser *p, size_t keep, struct mark end)
{
	struct mark least = innermost_body(p);

	if (end.at < least.at)
		end = least;
	close_leaf(p, end);
	while (p->depth > keep) {
		struct frame *f = &p->stack[--p->depth];

		set_body(p, f->part, f->body, end);
		if (f->part->child == NULL) {
			f->part->kind = MIME_LEAF;
			set_default_type(p, f->part, "text", "plain");
		}
	}
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static struct mime_part *new_part(struct parser *p)
{
	struct mime_part *part = arena_alloc(p->arena, sizeof *part);
	struct frame *f = p->depth ? &p->stack[p->depth - 1] : NULL;

	p->nparts++;
	if (f == NULL)
		return part;
	part->parent = f->part;
	if (f->last_child)
		f->last_child->next = part;
	else
		f->part->child = part;
	f->last_child = part;
	return part;
}

static struct span text_of(struct parser *p, struct span body)
{
	return header_unfold(p->arena, body, MIME_VALUE_MAX);
}

static void take_languages(struct parser *p, struct mime_part *part, struct span body)
{
	struct span rest_of = text_of(p, body), word;

	while (part->nlanguages < MIME_LANGUAGES_MAX && span_word(&rest_of, " \t,", &word))
		part->languages[part->nlanguages++] = word;
}

/* One Content- field; the first of a name counts. */
static void take_field(struct parser *p, struct mime_part *part, struct span name, struct span body)
{
	const struct {
		const char *name;
		struct span *to;
	} texts[] = {
		{ "Transfer-Encoding", &part->encoding }, { "ID", &part->id },
		{ "Description", &part->description },    { "MD5", &part->md5 },
		{ "Location", &part->location },
	};

	if (span_iis(name, "Type") && part->type.ptr == NULL) {
		if (!mime_content_type_parse(p->arena, body, &part->type, &part->subtype, &part->params))
			set_default_type(p, part, "text", "plain");
	} else if (span_iis(name, "Disposition") && part->disposition.ptr == NULL) {
		if (!mime_disposition_parse(p->arena, body, &part->disposition, &part->disposition_params))
			part->disposition = SPAN_NONE;
	} else if (span_iis(name, "Language") && part->nlanguages == 0) {
		take_languages(p, part, body);
	}
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (span_iis(name, texts[i].name) && texts[i].to->ptr == NULL)
			*texts[i].to = text_of(p, body);
}

static void read_fields(struct parser *p, struct mime_part *part, bool digest)
{
	struct span left = part->header;
	struct header_field f;

	while (header_next(&left, &f))
		if (span_istarts(f.name, "Content-"))
			take_field(p, part, span_skip(f.name, 8), f.body);
	if (part->type.ptr == NULL && digest)
		set_default_type(p, part, "message", "rfc822");
	else if (part->type.ptr == NULL)
		set_default_type(p, part, "text", "plain");
	if (part->encoding.ptr) {
		/* RFC 2045 6.1: one token; a comment behind it is seen in the wild. */
		struct span word, all = part->encoding;

		part->encoding = span_word(&all, " \t;(", &word) ? word : SPAN_NONE;
	}
}

static void push(struct parser *p, struct mime_part *part, struct span boundary)
{
	p->stack[p->depth++] = (struct frame){ .part = part, .body = p->pos, .boundary = boundary };
	if (boundary.ptr)
		p->stack[p->depth - 1].digest = span_iis(part->subtype, "digest");
}

/* After a part's header, at its body. True when a message begins here. */
static bool open_body(struct parser *p, struct mime_part *part)
{
	struct span boundary = mime_param(&part->params, "boundary");
	bool multipart = span_iis(part->type, "multipart");
	bool message =
	    span_iis(part->type, "message") && (span_iis(part->subtype, "rfc822") || span_iis(part->subtype, "global"));
	bool usable = boundary.len > 0 && boundary.len <= MIME_BOUNDARY_MAX;

	if ((multipart || message) && (p->depth == MIME_DEPTH_MAX || p->nparts >= MIME_PARTS_MAX)) {
		set_default_type(p, part, "application", "octet-stream");
	} else if (multipart && usable) {
		part->kind = MIME_MULTIPART;
		push(p, part, boundary);
		return false;
	} else if (message) {
		part->kind = MIME_MESSAGE;
		push(p, part, SPAN_NONE);
		return true;
	} else if (multipart) {
		set_default_type(p, part, "text", "plain");
	}
	p->leaf = part;
	p->leaf_body = p->pos;
	return false;
}

/* --- the pass ----------------------------------------------------------------------------------------------------- */

/* Up to and with the empty line; a delimiter of a container ends the header as well, and is left for the body. */
static void skip_header(struct parser *p)
{
	while (p->pos.at < p->msg.len) {
		struct mark start = p->pos, text_end = p->text_end;
		struct span line = take_line(p);
		size_t frame;

		if (line.len == 0)
			return;
		if (find_delimiter(p, line, &frame) != NO_DELIMITER) {
			p->pos = start;
			p->text_end = text_end;
			return;
		}
	}
}

/* A part begins at pos: read its header, and those of the messages that begin right within it. */
static void start_part(struct parser *p)
{
	struct mime_part *part;

	do {
		struct mark start = p->pos;
		bool digest = p->depth > 0 && p->stack[p->depth - 1].digest;

		part = new_part(p);
		skip_header(p);
		part->header = span_of(p->msg.ptr + start.at, p->pos.at - start.at);
		part->header_size = size_between(start, p->pos);
		read_fields(p, part, digest);
	} while (open_body(p, part));
}

static struct mime_part *root_of(struct parser *p)
{
	struct mime_part *part = p->leaf ? p->leaf : p->stack[0].part;

	while (part->parent)
		part = part->parent;
	return part;
}

struct mime_part *mime_parse(struct arena *a, struct span msg)
{
	struct parser *p = arena_alloc(a, sizeof *p);
	struct mime_part *root;

	p->arena = a;
	p->msg = msg;
	start_part(p);
	root = root_of(p);
	while (p->pos.at < msg.len) {
		struct mark text_end = p->text_end;
		struct span line = take_line(p);
		size_t frame;
		enum delimiter found = find_delimiter(p, line, &frame);

		if (found == NO_DELIMITER)
			continue;
		close_above(p, frame + 1, text_end);
		if (found == NEXT_PART)
			start_part(p);
		else
			p->stack[frame].boundary = SPAN_NONE;
	}
	close_above(p, 0, p->pos);
	return root;
}

struct mime_part *mime_find(struct mime_part *root, const uint32_t *numbers, size_t count)
{
	struct mime_part *part = root;

	for (size_t i = 0; i < count; i++) {
		bool leaf_again = i > 0 && part->kind == MIME_LEAF;

		/* The numbers of a message within count from its own content. */
		if (part->kind == MIME_MESSAGE && i > 0)
			part = part->child;
		if (part->kind != MIME_MULTIPART) {
			if (numbers[i] != 1 || leaf_again)
				return NULL;
			continue;
		}
		part = part->child;
		for (uint32_t n = 1; part && n < numbers[i]; n++)
			part = part->next;
		if (part == NULL || numbers[i] == 0)
			return NULL;
	}
	return part;
}

struct span mime_param(const struct mime_params *params, const char *name)
{
	for (size_t i = 0; i < params->count; i++)
		if (span_iis(params->list[i].name, name))
			return params->list[i].value;
	return SPAN_NONE;
}
