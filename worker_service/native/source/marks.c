/* Values with marks of their own, such as `($1,234.50)`, in our own spelling.

   Theory of operation. Characters around a value are left out, and the marks between groups of digits; a sign goes
   to the front. The rest goes into a buffer, a run of rows at a time, and the conversion of the column reads it there. A value that has
   not the described form becomes `?`, which is no literal of any type: so the row is refused. A null becomes an
   empty text. What may be null is decided by the text as it stands, as worker_service/readers/literals does. */
#include "fields.h"

enum { RUN = 256 };

static int is_number(const gm_column *c) {
    return c->kind == K_INT64 || c->kind == K_DOUBLE || c->kind == K_DECIMAL;
}

/* The octets of the one of *characters* that *text* begins with, or ends with; 0 for none. */
static int64_t size_of_mark(const uint8_t *characters, gm_text text, int at_end) {
    for (; *characters != 255; characters += 1 + *characters) {
        const int64_t size = *characters;
        if (size <= text.size && !memcmp(characters + 1, text.at + (at_end ? text.size - size : 0), (size_t)size))
            return size;
    }
    return 0;
}

static gm_text stripped(const uint8_t *characters, gm_text text) {
    for (int64_t size; (size = size_of_mark(characters, text, 0));) {
        text.at += size;
        text.size -= size;
    }
    for (int64_t size; (size = size_of_mark(characters, text, 1));)
        text.size -= size;
    return text;
}

/* The number without its sign; whether it has one that makes it negative is told by *quoted*. */
static gm_text unsigned_of(const gm_column *c, gm_text text) {
    const uint8_t first = *text.at, last = text.at[text.size - 1];
    const int before = first == '-';
    const int around = c->marks & M_AROUND && text.size > 2 && first == '(' && last == ')' && text.at[1] != '-';
    const int behind = !before && c->marks & M_BEHIND && text.size > 1 && last == '-';
    const int at_front = before || around;
    return (gm_text){text.at + at_front, text.size - at_front - (around || behind), before || around || behind};
}

static int has_mark(const uint8_t *mark, gm_text text) {
    for (; text.size; text.at++, text.size--)
        if (size_of_mark(mark, text, 0))
            return 1;
    return 0;
}

/* Copies a number without a sign, and without the *mark* between its groups of digits. Groups have three digits; all
   but the last may have two. Returns the octets written; -1 if a mark stands elsewhere, or an exponent follows. */
static int64_t ungrouped(const uint8_t *mark, int32_t point, gm_text text, uint8_t *out) {
    uint8_t *to = out;
    int64_t groups = 0, digits = 0, first = 0;
    int threes = 1, twos = 1;
    for (;;) {
        for (digits = 0; text.size && (uint8_t)(*text.at - '0') < 10; digits++, text.at++, text.size--)
            *to++ = *text.at;
        const int64_t size = size_of_mark(mark, text, 0);
        if (!size)
            break;
        if (!groups++) {
            first = digits;
        } else {
            threes &= digits == 3;
            twos &= digits == 2;
        }
        text.at += size;
        text.size -= size;
    }
    if (groups && (first < 1 || first > 3 || digits != 3 || !(threes || (twos && first < 3))))
        return -1;
    const uint8_t *const rest = text.at;
    int64_t size = text.size;
    if (groups && size && *rest == point)
        for (text.at++, text.size--; text.size && (uint8_t)(*text.at - '0') < 10; text.at++, text.size--)
            ;
    if (groups ? text.size != 0 : has_mark(mark, text))
        return -1;
    memcpy(to, rest, (size_t)size);
    return to - out + size;
}

/* Writes the value of a text that is not null; returns the octets, at most PADDED, or -1. */
static int64_t spell(const gm_fields *f, const gm_column *c, gm_text text, uint8_t *out) {
    if (text.quoted && memchr(text.at, f->quote, (size_t)text.size))
        return -1;
    text = stripped(c->around, text);
    if (text.size < 1 || text.size > PADDED)
        return -1;
    uint8_t *to = out;
    if (is_number(c) && (text = unsigned_of(c, text)).quoted) {
        *to++ = '-';
        text = stripped(c->around, text);
    }
    if (*c->between == 255) {
        memcpy(to, text.at, (size_t)text.size);
        return to - out + text.size;
    }
    const int64_t size = ungrouped(c->between, c->point, text, to);
    return size < 0 ? -1 : to - out + size;
}

void convert_marked(const gm_fields *f, gm_column *c, int64_t row, convert_rows *convert) {
    static const uint8_t none[] = {255};
    uint8_t texts[RUN * PADDED + SPARE];
    int32_t bounds[2 * RUN], base[RUN];
    for (int64_t done = 0; done < f->rows; done += RUN) {
        gm_fields run = *f;
        run.base = f->base + done;
        run.null += done;
        run.refused += done;
        run.rows = f->rows - done < RUN ? f->rows - done : RUN;
        int32_t end = 0;
        for (int32_t i = 0; i < run.rows; i++) {
            const gm_text text = field_text(&run, i);
            int64_t size = 0;
            if (!is_null(f, text) && (size = spell(f, c, text, texts + end)) < 0) {
                texts[end] = '?';
                size = 1;
            }
            base[i] = 2 * i;
            bounds[2 * i] = end - 1;
            bounds[2 * i + 1] = end += (int32_t)size;
        }
        memset(texts + end, 0, SPARE);
        run.data = run.masked = texts;
        run.limit = end + SPARE;
        run.found = bounds;
        run.base = base;
        run.spelled = run.owned = none;
        run.column = run.last = run.flags = 0;
        convert(&run, c, row + done, 0);
    }
}
