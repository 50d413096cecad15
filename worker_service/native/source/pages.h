/* Pages of a Parquet column chunk, as worker_service/readers/parquet/native.py gives them. */
#ifndef GRISTMILL_PAGES_H
#define GRISTMILL_PAGES_H

#include "gristmill.h"

/* Fields of a struct of a header: more than any has. */
enum { FIELDS = 9 };

typedef struct {
    const uint8_t *at, *end; /* what follows the run */
    const uint8_t *packed;   /* the run's groups of eight; null: it is one number */
    int64_t taken, left;     /* numbers of the run */
    int64_t number;
    int64_t bits; /* of a number, at most 32 */
} gm_runs;

/* A page as the file has it, and its values: of version 1 all without compression, of version 2 what follows
   the levels. */
typedef struct {
    const uint8_t *body, *values;
    int64_t body_size, size;
} gm_body;

/* A column chunk, and where in it the next row is. */
typedef struct {
    gm_runs levels;         /* none where at is null: no row is null then */
    gm_runs indexes;        /* of words, if values is null */
    const uint8_t *values;  /* plain ones */
    const uint8_t *end;     /* of values */
    int64_t rows;           /* of the page that are not read */
    const int64_t *headers; /* of pages, as from gm_page_headers */
    const gm_body *bodies;  /* of the same pages */
    int64_t next, known;    /* the next page, and the number of pages */
    int64_t unread;         /* rows of the chunk behind the page */
    const uint8_t *words;   /* of the dictionary */
    const int32_t *bounds;  /* of words that are texts: one more than words */
    int64_t count;          /* of words; -1: there is no dictionary */
    int64_t width;          /* octets of a value: 4 or 8 */
    int64_t is_optional;    /* rows may be null */
    int64_t are_indexes;    /* rows become indexes of words */
} gm_chunk;

#endif
