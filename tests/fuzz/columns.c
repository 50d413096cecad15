/* The functions that read bytes of users, on any bytes, in buffers of exactly their size.

   The first octet of an input chooses the dialect and the number of columns. With clang, libFuzzer calls
   LLVMFuzzerTestOneInput. Else the main function below does: first on each file of a folder, then on random
   mutations of them for a time. */
#include <stdio.h>
#include <stdlib.h>

#include "fields.h"

int32_t gm_scan(const uint8_t *, int64_t, int32_t, int32_t, int32_t *, int32_t *, int64_t, int64_t, int64_t *);
int32_t gm_prove(const uint8_t *, int64_t, int32_t, int32_t, int32_t, int32_t, int64_t *);
int64_t gm_count(const uint8_t *, int64_t, int32_t);
int64_t gm_int64(const gm_fields *, int64_t *);
int64_t gm_decimal(const gm_fields *, int32_t, int32_t, uint64_t *);
int64_t gm_bool(const gm_fields *, uint8_t *);
int64_t gm_float64(const gm_fields *, double *);
int64_t gm_date(const gm_fields *, int32_t *);
int64_t gm_timestamp(const gm_fields *, int32_t, int64_t *);
int64_t gm_string_bytes(const gm_fields *);
int64_t gm_strings(const gm_fields *, int32_t *, uint8_t *, int64_t);

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

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (!size || size > 1 << 20)
        return 0;
    const uint8_t choice = *input++;
    const int64_t length = (int64_t)size - 1;
    const int32_t width = 1 + (choice & 3), delimiter = choice & 4 ? ',' : '\t', quote = choice & 8 ? '"' : -1;
    uint8_t *data = exactly((size_t)length);
    memcpy(data, input, (size_t)length);
    const int64_t room = length + 128;
    int32_t *found = exactly(4 * (size_t)room), *lines = exactly(4 * (size_t)room);
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
        static const uint8_t spelled[] = {2, 'N', 'A', 0, 255}, none[] = {255};
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
            static const uint8_t special[] = "\",\n\r\t\0.-+eE09NATZ: \xff\xc3";
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
