/* The functions that read bytes of users, on any bytes, in buffers of exactly their size.

   The first octet of an input chooses the dialect and the number of columns. With clang, libFuzzer calls
   LLVMFuzzerTestOneInput. Else the main function below does: first on each file of a folder, then on random
   mutations of them for a time. */
#include <stdio.h>
#include <stdlib.h>

#include "fields.h"
#include "pages.h"

int32_t gm_scan(const uint8_t *, int64_t, int32_t, int32_t, int32_t *, int32_t *, int64_t, int64_t, int64_t *);
int32_t gm_prove(const uint8_t *, int64_t, int32_t, int32_t, int32_t, int32_t, int64_t *);
int64_t gm_count(const uint8_t *, int64_t, int32_t);
int32_t gm_lines(gm_fields *, int64_t, const uint8_t *, const uint8_t *, int64_t, int64_t, gm_column *, int64_t, int64_t,
                 int64_t, const int32_t *, int64_t, int32_t *, uint8_t *, int64_t *);
int64_t gm_string_bytes(const gm_fields *);
int64_t gm_strings(const gm_fields *, int32_t *, uint8_t *, int64_t);

int32_t gm_windows(gm_fields *, void *, int64_t, int32_t, int32_t, int64_t, gm_column *, int64_t, int64_t, int64_t,
                   const int32_t *, int32_t *, int32_t *, uint8_t *, void *, void *, int64_t, int64_t *);
int64_t gm_page_headers(const uint8_t *, int64_t, int64_t, int64_t *);
int64_t gm_chunk_numbers(gm_chunk *, int64_t, uint8_t *, uint8_t *);
int64_t gm_chunk_texts(gm_chunk *, int64_t, int32_t *, uint8_t *, int64_t, uint8_t *);
void *gm_keys_new(int64_t);
void gm_keys_free(void *);
int64_t gm_keys_texts(const void *, int32_t *, uint8_t *);

static void *exactly(size_t size) {
    void *made = malloc(size ? size : 1);
    if (!made)
        abort();
    return made;
}

static void convert(gm_fields *f) {
    const size_t rows = (size_t)f->rows;
    void *out = exactly(16 * rows);
    gm_int64(f, out);
    gm_float64(f, out);
    gm_bool(f, out);
    gm_date(f, out);
    gm_timestamp(f, 0, out);
    gm_timestamp(f, 1, out);
    gm_decimal(f, 18, 2, out);
    gm_decimal(f, 38, 38, out);
    free(out);
    const int64_t room = gm_string_bytes(f);
    int32_t *offsets = exactly(4 * (rows + 1));
    uint8_t *text = exactly((size_t)room);
    gm_strings(f, offsets, text, room);
    if (offsets[rows] > room)
        abort();
    free(offsets);
    free(text);
}

/* Each line as a JSON object, in windows of 64 octets: all kinds of columns. Few rows, texts and codes may have room.
   Octets may follow the lines. */
static void read_lines(const uint8_t *data, int64_t length, int few) {
    enum { KINDS = K_CODES + 1, WINDOW = 64, LINES = 3 };
    static const uint8_t keys[] = {1, 'a', 1, 'b', 0, 255}, kinds[] = {15, 2, 7}, none[] = {255};
    static const uint8_t around[] = {1, ' ', 2, 0xc3, 0xa9, 255}, between[] = {1, ':', 255};
    const int64_t count = sizeof kinds, rows = few ? length / 16 : length + 1, room = few ? length / 2 : 2 * length + WINDOW;
    int64_t size = length;
    while (few && size && data[size - 1] != '\n')
        size--;
    void *const table = gm_keys_new(2);
    if (!table)
        abort();
    gm_column columns[KINDS];
    int32_t *found = exactly(8 * (size_t)(count * LINES)), *base = exactly(4 * LINES);
    int32_t *ends = exactly(4 * (WINDOW + 72));
    uint8_t *refused = exactly((size_t)rows);
    for (int32_t i = 0; i < LINES; i++)
        base[i] = (int32_t)(2 * count) * i;
    for (int32_t i = 0; i < KINDS; i++)
        columns[i] = (gm_column){.spelled = none, .owned = none, .out = exactly(16 * (size_t)(rows + 1)),
                                 .null = exactly((size_t)rows), .refused = refused, .texts = exactly((size_t)room),
                                 .table = table, .room = room, .known = none, .kind = i, .column = 2 * (i % 3),
                                 .point = '.', .first = 18, .second = 2, .unquoted = i % 3 == 1,
                                 .around = few ? around : none, .between = few ? between : none,
                                 .marks = few && i < K_STRING ? M_SOME | M_AROUND | M_BEHIND : 0};
    gm_fields f = {.data = data, .masked = data, .limit = length, .found = found};
    int64_t told[7];
    const int32_t outcome = gm_lines(&f, size, keys, kinds, count, WINDOW, columns, KINDS, rows, few ? 2 : 4096, base,
                                     LINES, ends, refused, told);
    if (!outcome && (told[0] > rows || columns[K_STRING].total > room))
        abort();
    for (int64_t row = 0; !outcome && row < told[0]; row++)
        if (refused[row] > 1)
            abort();
    for (int32_t i = 0; i < KINDS; i++) {
        free(columns[i].out);
        free(columns[i].null);
        free(columns[i].texts);
    }
    free(found);
    free(base);
    free(ends);
    free(refused);
    gm_keys_free(table);
}

/* Each kind of column of a block, in windows of 64 octets; few rows, texts and codes may have room. Of the rows that
   are asked about every second one is bad. */
static void read_windows(gm_fields f, int32_t delimiter, int32_t width, int few) {
    enum { KINDS = K_CODES + 1, WINDOW = 64 };
    static const uint8_t known[] = {1, 'x', 3, 'N', '/', 'A', 255}, none[] = {255};
    static const uint8_t around[] = {1, ' ', 2, 0xc3, 0xa9, 255}, between[] = {1, '0', 255};
    const int marked = f.strict & 2;
    gm_column columns[KINDS];
    const int64_t rows = few ? f.limit / 8 : f.limit + 1, room = few ? f.limit / 2 : f.limit + WINDOW;
    void *const table = gm_keys_new(2);
    if (!table)
        abort();
    const size_t most = (size_t)(WINDOW / width + 2), odd_room = few ? 3 : 9 * (size_t)rows + 9;
    int32_t *found = exactly(4 * (size_t)(WINDOW + width + 72)), *base = exactly(4 * most);
    int32_t *loose = exactly(4 * most), *numbers = exactly(4 * most);
    int32_t *odd = exactly(36 * odd_room), *asked = exactly(36 * odd_room);
    uint8_t *bad = exactly(most), *state = exactly(256);
    memset(state, 0, 256);
    for (size_t i = 0; i < most; i++)
        base[i] = (int32_t)i * width;
    for (int32_t i = 0; i < KINDS; i++) {
        columns[i] = (gm_column){.spelled = f.spelled, .owned = f.owned, .out = exactly(16 * (size_t)(rows + 1)),
                                 .null = exactly((size_t)rows), .refused = exactly((size_t)rows),
                                 .texts = exactly((size_t)room), .table = table, .room = room, .kind = i,
                                 .known = f.strict & 1 ? known : none,
                                 .column = i % width, .last = i % width == width - 1, .point = '.',
                                 .strict = f.strict, .first = 18, .second = 2,
                                 .around = marked ? around : none, .between = marked ? between : none,
                                 .marks = marked && i < K_STRING ? M_SOME | M_AROUND | M_BEHIND : 0};
        memset(columns[i].refused, 0, (size_t)rows);
    }
    f.found = found;
    int64_t told[7];
    int32_t outcome;
    while ((outcome = gm_windows(&f, state, f.limit, delimiter, width, WINDOW, columns, KINDS, rows, few ? 2 : 4096,
                                 base, loose, numbers, bad, odd, asked, (int64_t)odd_room, told)) == 1)
        for (int64_t i = 0; i < told[5]; i++)
            bad[asked[9 * i + 4]] = asked[9 * i + 4] & 1;
    if (!outcome && (told[0] > rows || columns[K_STRING].total > room))
        abort();
    const int64_t octets = gm_keys_texts(table, NULL, NULL);
    int32_t *offsets = exactly(4 * 4097);
    uint8_t *texts = exactly((size_t)octets);
    gm_keys_texts(table, offsets, texts);
    free(offsets);
    free(texts);
    for (int32_t i = 0; i < KINDS; i++) {
        free(columns[i].out);
        free(columns[i].null);
        free(columns[i].refused);
        free(columns[i].texts);
    }
    free(found);
    free(base);
    free(loose);
    free(numbers);
    free(odd);
    free(asked);
    free(bad);
    free(state);
    gm_keys_free(table);
}

/* As pages of a Parquet column chunk, which are not compressed; a first page with a dictionary has its words. */
static void read_pages(const uint8_t *data, int64_t length, int choice) {
    enum { PAGES = 8, HEADER = FIELDS * FIELDS, STEP = 5 };
    const int are_indexes = choice & 1, are_texts = !are_indexes && choice & 2, width = are_indexes || choice & 4 ? 4 : 8;
    int64_t *headers = exactly(8 * PAGES * HEADER);
    const int64_t pages = gm_page_headers(data, length, PAGES, headers);
    gm_body bodies[PAGES];
    uint8_t *copies[PAGES];
    for (int64_t i = 0; i < pages; i++) {
        const int64_t *const header = headers + HEADER * i, size = header[3];
        copies[i] = exactly((size_t)size);
        memcpy(copies[i], data + header[0], (size_t)size);
        const int64_t levels = header[1] == 3 && header[8 * FIELDS + 5] > 0 && header[8 * FIELDS + 5] <= size
                                   ? header[8 * FIELDS + 5] : 0;
        bodies[i] = (gm_body){copies[i], copies[i] + levels, size, size - levels};
    }
    const int64_t rows = 300, room = choice & 8 ? 64 : 8 * length + 64;
    gm_chunk chunk = {.headers = headers, .bodies = bodies, .known = pages, .unread = rows, .width = width,
                      .is_optional = choice & 16, .are_indexes = are_indexes, .count = -1};
    int32_t *bounds = exactly(4 * (size_t)(length + 1)), *offsets = exactly(4 * (rows + 1));
    uint8_t *octets = exactly((size_t)length), *valid = exactly((size_t)(length + rows)), *out = exactly((size_t)(8 * rows + room));
    bounds[0] = offsets[0] = 0;
    if (pages && headers[1] == 2) {
        const int64_t words = headers[7 * FIELDS + 1], size = bodies[0].size;
        chunk.next = 1;
        if (words >= 0 && words <= size / (are_texts || are_indexes ? 4 : width)) {
            gm_chunk given = {.values = copies[0], .end = copies[0] + size, .rows = words};
            if (!are_texts && !are_indexes)
                chunk.words = copies[0], chunk.count = words;
            else if (gm_chunk_texts(&given, words, bounds, octets, length, valid) == words)
                chunk.words = octets, chunk.bounds = bounds, chunk.count = words;
        }
    }
    for (int64_t done = 0, some; done < rows; done += some) {
        const int64_t asked = rows - done < STEP ? rows - done : STEP;
        some = are_texts ? gm_chunk_texts(&chunk, asked, offsets + done, out, room, valid + done)
                         : gm_chunk_numbers(&chunk, asked, out + done * width, valid + done);
        if (some > asked || (are_texts && some > 0 && offsets[done + some] > room))
            abort();
        if (some <= 0)
            break;
    }
    for (int64_t i = 0; i < pages; i++)
        free(copies[i]);
    free(headers);
    free(bounds);
    free(offsets);
    free(octets);
    free(valid);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (!size || size > 1 << 20)
        return 0;
    const uint8_t choice = *input++;
    const int64_t length = (int64_t)size - 1;
    const int32_t width = 1 + (choice & 3), delimiter = choice & 4 ? ',' : '\t', quote = choice & 8 ? '"' : -1;
    uint8_t *data = exactly((size_t)length);
    memcpy(data, input, (size_t)length);
    read_lines(data, length, choice & 16);
    read_pages(data, length, choice);
    const int64_t room = length + 128;
    int32_t *found = exactly(4 * (size_t)room), *lines = exactly(4 * (size_t)room);
    static const uint8_t spelled[] = {2, 'N', 'A', 0, 255}, none[] = {255};
    read_windows((gm_fields){.data = data, .masked = data, .limit = length, .quote = quote, .strict = choice >> 5,
                             .spelled = choice & 32 ? spelled : none, .owned = choice & 64 ? spelled : none},
                 delimiter, width, choice & 16);
    int64_t told[3];
    gm_prove(data, length, delimiter, quote < 0 ? '"' : quote, choice >> 7, '\n', told);
    gm_count(data, length, delimiter);
    const int32_t flags = gm_scan(data, length, delimiter, quote, found, lines, choice & 16 ? room : 140, room, told);
    if (flags >= 0) {
        int32_t *base = exactly(4 * (size_t)told[1]);
        int64_t rows = 0;
        for (int64_t i = 0; i < told[1]; i++)
            if (lines[i + 1] - lines[i] == width)
                base[rows++] = lines[i];
        uint8_t *null = exactly((size_t)rows), *refused = exactly((size_t)rows);
        memset(refused, 0, (size_t)rows);
        gm_fields f = {.data = data, .masked = data, .limit = length, .found = found, .base = base, .rows = rows,
                       .spelled = choice & 32 ? spelled : none, .owned = choice & 64 ? spelled : none, .null = null,
                       .refused = refused, .quote = quote, .point = '.', .strict = choice >> 5, .flags = flags};
        for (f.column = 0; f.column < width; f.column++) {
            f.last = f.column == width - 1;
            convert(&f);
        }
        free(base);
        free(null);
        free(refused);
    }
    free(data);
    free(found);
    free(lines);
    return 0;
}

#ifndef LIBFUZZER
#include <dirent.h>
#include <time.h>

enum { FILES = 4096, LONGEST = 8192 };

int main(int count, char **arguments) {
    static uint8_t *files[FILES];
    static size_t sizes[FILES];
    size_t known = 0;
    if (count != 3)
        return 2;
    DIR *folder = opendir(arguments[1]);
    if (!folder)
        return 2;
    for (struct dirent *entry; known < FILES && (entry = readdir(folder));) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", arguments[1], entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (!file)
            continue;
        files[known] = exactly(LONGEST);
        sizes[known] = fread(files[known], 1, LONGEST, file);
        fclose(file);
        LLVMFuzzerTestOneInput(files[known], sizes[known]);
        known++;
    }
    closedir(folder);
    if (!known)
        return 2;
    uint64_t state = 1, runs = 0;
    const time_t end = time(NULL) + atoi(arguments[2]);
    for (; time(NULL) < end; runs++) {
        static uint8_t text[LONGEST];
        state = mix64(state);
        const size_t one = state % known;
        size_t size = sizes[one];
        memcpy(text, files[one], size);
        for (uint64_t left = 1 + (state >> 32) % 8; left && size; left--) {
            const uint64_t chance = state = mix64(state);
            static const uint8_t special[] = "\",\n\r\t\0.-+eE09NATZ: {}[]\\u\xff\xc3";
            const size_t at = (chance >> 8) % size;
            if (chance & 3)
                text[at] = chance & 4 ? special[(chance >> 40) % (sizeof special - 1)] : (uint8_t)(chance >> 40);
            else
                size = at;
        }
        LLVMFuzzerTestOneInput(text, size);
    }
    printf("%llu inputs\n", (unsigned long long)runs);
    return 0;
}
#endif
