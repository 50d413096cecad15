/* Reads the used columns of a block of CSV, window by window.

   Theory of operation. The block is taken in windows that fit the second-level cache with the positions of their
   separators. A window is scanned, then each column of the records that ended in it is converted, behind the
   values of the windows before. Separators of a record that has not ended yet move to the front. In a regular
   window a record ends at every *width*-th separator, which is a line feed, and no other separator is one. Else
   the window is split at its line feeds: records with another number of fields are noted, and left out.

   A row that a column refuses is noted and left out too, if each of its refused texts is known to be a misfit.
   About the others the caller decides, before the next window is read: so they are taken out of the columns
   while these are in the cache. */
#include "scan.h"

enum { ASK = 1, IRREGULAR = -1, MANY_ODD = -6 };

/* A record that is no row: one of *fields* fields, or one whose text of a column is refused. Python has its twin in
   worker_service/readers/csv/native/windows.py. */
typedef struct {
    int32_t record, start, stop; /* its number in the block, and its octets with the line end */
    int32_t fields;              /* 0 if there are as many as in the header */
    int32_t row, column;         /* the row among those of the window; the place of the column in *columns* */
    int32_t first, last, quoted; /* the octets of its text, and whether they were within quotes */
} gm_odd;

/* What is known between two calls for one block; all 0 before the first one. */
typedef struct {
    Scan scan;
    int64_t at, held;            /* octets scanned, and separators of records that are not read */
    int64_t ends;                /* of these, the line feeds */
    int64_t size;                /* octets of the records */
    int64_t rows, records;       /* before the window */
    int64_t odd, asked;          /* how many are noted */
    int64_t used, ended;         /* separators and records of the window */
    int64_t loose;               /* whether the window was split */
    int64_t asking;              /* whether the caller decides about the window */
} gm_window;

/* One column of the rows of *f*, behind the first *row* ones. */
static int convert(const gm_fields *f, gm_column *c, int64_t row, int64_t most) {
    int64_t missing = 0;
    int outcome = 0;
    switch (c->kind) {
    case K_BOOL:
        missing = gm_bool(f, (uint8_t *)c->out + row);
        break;
    case K_INT64:
        missing = gm_int64(f, (int64_t *)c->out + row);
        break;
    case K_DOUBLE:
        missing = gm_float64(f, (double *)c->out + row);
        break;
    case K_DECIMAL:
        missing = gm_decimal(f, c->first, c->second, (uint64_t *)c->out + 2 * row);
        break;
    case K_DATE:
        missing = gm_date(f, (int32_t *)c->out + row);
        break;
    case K_TIME:
        missing = gm_timestamp(f, c->first, (int64_t *)c->out + row);
        break;
    case K_STRING:
        c->total = append_strings(f, (int32_t *)c->out + row, c->texts, c->room, c->total, &missing);
        break;
    case K_CODES:
        outcome = append_codes(f, c->table, most, (int32_t *)c->out + row, &missing);
        break;
    }
    c->missing += missing;
    return outcome;
}

int convert_columns(gm_fields *f, gm_column *columns, int64_t count, int64_t row, int64_t octets, int64_t most,
                    int64_t *told) {
    const int32_t flags = f->flags;
    int outcome = 0;
    for (int64_t i = 0; i < count && !outcome; i++) {
        gm_column *c = columns + i;
        f->spelled = c->spelled;
        f->owned = c->owned;
        f->null = c->null + row;
        f->refused = c->refused + row;
        f->column = c->column;
        f->last = c->last;
        f->point = c->point;
        f->strict = c->strict;
        f->flags = c->unquoted ? flags & ~F_QUOTE : flags;
        told[0] = i;
        if (c->kind == K_STRING && c->total + octets > c->room && c->total + gm_string_bytes(f) > c->room) {
            c->total += octets;
            return LONG_TEXTS;
        }
        if (UNLIKELY(c->marks))
            convert_marked(f, c, row, convert);
        else
            outcome = convert(f, c, row, most);
    }
    f->flags = flags;
    return outcome;
}

static inline int ends_record(const gm_fields *f, const gm_window *w, int32_t separator) {
    return separator >= w->size || f->masked[separator] == '\n';
}

/* Whether each *width*-th separator of the window ends a record. */
static int are_records(const gm_fields *f, const gm_window *w, int32_t width) {
    int32_t wrong = 0;
    for (int64_t row = 1; row <= f->rows; row++) {
        const int32_t end = f->found[row * width];
        wrong |= end < w->size && f->masked[end] != '\n';
    }
    return !wrong;
}

/* Splits the window at its line feeds. Rows get their base and the number of their record in the window; other
   records are noted, up to *room*. With *guess*, a record whose *width*-th separator ends one is taken for a row
   without a look at those before. Returns how many line feeds it came by, or -1 without room. */
static int64_t split(gm_fields *f, gm_window *w, int32_t width, int32_t *base, int32_t *numbers, gm_odd *odd,
                     int64_t room, int guess) {
    const int32_t *const found = f->found;
    int64_t first = 0, rows = 0, records = 0, ends = 0;
    for (;;) {
        int64_t next = first + width;
        if (!guess || next > w->held || !ends_record(f, w, found[next])) {
            for (next = first + 1; next <= w->held && !ends_record(f, w, found[next]);)
                next++;
            if (next > w->held)
                break;
        }
        const int64_t fields = next - first;
        const int32_t start = found[first] + 1, end = found[next];
        ends++;
        if (fields == width) {
            base[rows] = (int32_t)first;
            numbers[rows++] = (int32_t)records++;
        } else if (fields > 1 || !(end == start || (end == start + 1 && f->masked[start] == '\r'))) {
            if (w->odd == room)
                return -1;
            odd[w->odd++] = (gm_odd){.record = (int32_t)(w->records + records++), .start = start,
                                     .stop = end < w->size ? end + 1 : end, .fields = (int32_t)fields};
        } /* else an empty line, which is a record of a file of one column only */
        first = next;
    }
    f->base = base;
    f->rows = rows;
    w->used = first;
    w->ended = records;
    w->loose = 1;
    return ends;
}

static int is_known(const gm_column *c, gm_text text) {
    return !text.quoted && is_spelled(c->known, text);
}

/* Marks the rows of the window that are bad, and notes them. Those that the caller decides about are noted in
   *asked*, each with all columns that refuse it. Returns whether there was room for all. */
static int judge(gm_fields *f, gm_window *w, gm_column *columns, int64_t count, const int32_t *numbers, int32_t width,
                 uint8_t *bad, gm_odd *odd, gm_odd *asked, int64_t room) {
    memset(bad, 0, (size_t)f->rows);
    for (int64_t i = 0; i < count; i++)
        if (columns[i].missing != columns[i].before)
            for (int64_t row = 0; row < f->rows; row++)
                bad[row] |= columns[i].refused[w->rows + row];
    w->asked = 0;
    for (int64_t row = 0; row < f->rows; row++) {
        const uint8_t *const next = memchr(bad + row, 1, (size_t)(f->rows - row));
        if (!next)
            break;
        row = next - bad;
        const int64_t before = w->asked;
        int known = 1;
        for (int64_t i = 0; i < count; i++) {
            const gm_column *c = columns + i;
            if (!c->refused[w->rows + row])
                continue;
            if (w->asked == room)
                return 0;
            f->column = c->column;
            f->last = c->last;
            const gm_text text = field_text(f, row);
            known = known && is_known(c, text);
            const int32_t *const ends = f->found + f->base[row];
            const int32_t stop = ends[width];
            asked[w->asked++] = (gm_odd){
                .record = (int32_t)(w->records + (w->loose ? numbers[row] : row)), .start = ends[0] + 1,
                .stop = stop < w->size ? stop + 1 : stop, .row = (int32_t)row, .column = (int32_t)i,
                .first = (int32_t)(text.at - f->data), .last = (int32_t)(text.at - f->data + text.size),
                .quoted = text.quoted};
        }
        bad[row] = (uint8_t)known;
        if (known) {
            if (w->odd == room)
                return 0;
            odd[w->odd++] = asked[before];
            w->asked = before;
        }
    }
    return 1;
}

/* Takes the *bad* ones out of values[0 .. count) of *width* octets each. */
static void take_out(uint8_t *values, int64_t count, int64_t width, const uint8_t *bad) {
    int64_t to = 0;
    for (int64_t from = 0; from < count;) {
        const uint8_t *const next = memchr(bad + from, 1, (size_t)(count - from));
        const int64_t stop = next ? next - bad : count;
        if (to != from)
            memmove(values + to * width, values + from * width, (size_t)((stop - from) * width));
        to += stop - from;
        from = stop + 1;
    }
}

static void take_out_texts(gm_column *c, int64_t row, int64_t count, const uint8_t *bad) {
    int32_t *const offsets = (int32_t *)c->out + row, *to = offsets;
    int32_t total = offsets[0], start = offsets[0];
    for (int64_t i = 0; i < count; i++) {
        const int32_t stop = offsets[i + 1];
        if (!bad[i]) {
            memmove(c->texts + total, c->texts + start, (size_t)(stop - start));
            total += stop - start;
            *++to = total;
        }
        start = stop;
    }
    c->total = total;
}

/* Takes the bad rows of the window out of all columns; returns how many rows are left. */
static int64_t take_out_rows(const gm_fields *f, const gm_window *w, gm_column *columns, int64_t count,
                             const uint8_t *bad) {
    static const int64_t widths[] = {[K_BOOL] = 1, [K_INT64] = 8, [K_DOUBLE] = 8, [K_DECIMAL] = 16,
                                     [K_DATE] = 4, [K_TIME] = 8, [K_CODES] = 4};
    int64_t left = f->rows;
    for (int64_t row = 0; row < f->rows; row++)
        left -= bad[row];
    for (int64_t i = 0; i < count; i++) {
        gm_column *c = columns + i;
        if (c->kind == K_STRING)
            take_out_texts(c, w->rows, f->rows, bad);
        else
            take_out((uint8_t *)c->out + w->rows * widths[c->kind], f->rows, widths[c->kind], bad);
        if (c->missing == c->before)
            continue; /* none is null or refused */
        memset(c->refused + w->rows, 0, (size_t)f->rows);
        take_out(c->null + w->rows, f->rows, 1, bad);
        c->missing = c->before;
        for (int64_t row = w->rows; row < w->rows + left; row++)
            c->missing += c->null[row];
    }
    return left;
}

/* The columns of the records in the first *size* octets of *f*, which hold whole records.

   Of *f* are taken data, masked, limit, quote and found; the rest is overwritten. *window* is a multiple of 64, and
   bounds the octets that are scanned at a time. *found* has room for window + width + 72, *loose*, *numbers* and
   *bad* for as many. regular[i] is i * width, as far as there may be records in a window. The columns have room
   for *room* rows, offsets for one more, and *odd* and *asked* for *odd_room*. A column of codes has at most
   *most* texts. *size* is below 2**31 - 64. *w* is not touched between the calls for one block.

   The result is 0 at the end: told[0 .. 5) are the number of rows, of all line feeds, the flags of gm_scan, the
   number of records and that of *odd* ones. ASK: asked[0 .. told[5]) are refused; the caller sets bad[row] to 1 for
   bad rows, puts the values of the others into the columns, with their *null*, and calls again. Rows of
   this window follow the first told[0]. Else the values mean nothing: IRREGULAR if a lone carriage return
   ends a record, or one has too many fields to be held; MANY_ODD; MANY_ROWS; LONG_TEXTS if a column of texts
   may have no room, of which it has *total* in the first told[6] octets; or what append_codes returns for
   column told[0]. */
GM_EXPORT int32_t gm_windows(gm_fields *f, gm_window *w, int64_t size, int32_t delimiter, int32_t width,
                             int64_t window, gm_column *columns, int64_t count, int64_t room, int64_t most,
                             const int32_t *regular, int32_t *loose, int32_t *numbers, uint8_t *bad,
                             gm_odd *odd, gm_odd *asked, int64_t odd_room, int64_t *told) {
    const Special special = special_octets(delimiter, f->quote);
    int32_t *const found = (int32_t *)f->found;
    w->size = size;
    while (w->at < size || w->asking) {
        int refused = w->asking != 0;
        if (w->asking) {
            for (int64_t i = 0; i < w->asked; i++) {
                const int first = !i || asked[i].row != asked[i - 1].row;
                if (first && bad[asked[i].row]) {
                    if (w->odd == odd_room)
                        return MANY_ODD;
                    odd[w->odd++] = asked[i];
                }
            }
            w->asking = 0;
        } else {
            if (w->at == 0)
                found[0] = -1;
            const int64_t stop = size - w->at > window ? w->at + window : size;
            int32_t *out = found + 1 + w->held;
            for (; w->at < stop; w->at += 64) {
                uint64_t feeds;
                const uint64_t separators = scan64(f->masked + w->at, size - w->at, &special, &w->scan, &feeds);
                w->ends += __builtin_popcountll(feeds);
                out += write_positions((int32_t)w->at, separators, out);
            }
            if (w->at >= size && (out[-1] != size - 1 || f->masked[size - 1] != '\n')) {
                *out++ = (int32_t)size;
                w->ends++;
            }
            f->flags = scan_flags(&w->scan, w->at >= size);
            if (UNLIKELY(f->flags & F_LONE_RETURN))
                return IRREGULAR;
            w->held = out - found - 1;
            w->ended = f->rows = w->held / width;
            w->used = f->rows * width;
            w->loose = 0;
            f->base = regular;
            if (UNLIKELY(w->ends != f->rows || !are_records(f, w, width))) {
                const int64_t before = w->odd;
                int64_t ends = split(f, w, width, loose, numbers, odd, odd_room, 1);
                if (ends >= 0 && ends != w->ends) { /* two records together have *width* fields */
                    w->odd = before;
                    ends = split(f, w, width, loose, numbers, odd, odd_room, 0);
                }
                if (ends < 0)
                    return MANY_ODD;
            }
            if (UNLIKELY(w->rows + f->rows > room))
                return MANY_ROWS;
            for (int64_t i = 0; i < count; i++)
                columns[i].before = columns[i].missing;
            const int64_t octets = (int64_t)found[w->used] - found[0];
            told[6] = (int64_t)found[w->used] + 1;
            const int outcome = convert_columns(f, columns, count, w->rows, octets, most, told);
            if (UNLIKELY(outcome))
                return outcome;
            for (int64_t i = 0; i < count && !refused; i++)
                refused = columns[i].missing != columns[i].before &&
                          memchr(columns[i].refused + w->rows, 1, (size_t)f->rows) != NULL;
            if (UNLIKELY(refused)) {
                if (!judge(f, w, columns, count, numbers, width, bad, odd, asked, odd_room))
                    return MANY_ODD;
                if (w->asked) {
                    w->asking = 1;
                    told[0] = w->rows;
                    told[5] = w->asked;
                    return ASK;
                }
            }
        }
        w->rows += refused ? take_out_rows(f, w, columns, count, bad) : f->rows;
        w->records += w->ended;
        w->held -= w->used;
        w->ends = 0;
        if (UNLIKELY(w->held > width))
            return IRREGULAR;
        memmove(found, found + w->used, (size_t)(w->held + 1) * 4);
    }
    if (w->held)
        return IRREGULAR;
    told[0] = w->rows;
    told[1] = w->scan.feeds;
    told[2] = f->flags;
    told[3] = w->records;
    told[4] = w->odd;
    told[6] = size;
    return 0;
}
