/* Tables of distinct keys: each key gets a dense code, 0, 1, 2, … in the order of first occurrence.

   Theory of operation. A key is a record of a fixed number of 64-bit words. A string of up to 15 bytes is two
   words: its bytes, and its length in the last byte. A longer string lies in an arena; its record holds the
   place and the length. Records lie in the order of their codes. Slots of 8 bytes hold the upper half of a key's
   hash and its code + 1; 0 is an empty slot. The home of a key is given by the top bits of that half, so a table
   grows by its slots alone. Collisions go to the next slot. A table is at most half full: a probe ends at an
   empty slot.

   Rows are handled in runs of RUN. All hashes of a run come first and prefetch their slots, then the records
   behind these slots are prefetched, and then the keys are compared. So the cache misses of a run overlap.
   A table grows between runs only. */
#ifndef GRISTMILL_KEYS_H
#define GRISTMILL_KEYS_H

#include "gristmill.h"

#define RUN 128
#define FIRST_BITS 9
#define SHORT 15
#define LONG_MARK UINT64_C(0xFF00000000000000)
#define MOST_KEYS (INT64_C(1) << 31)

typedef struct {
    uint64_t *slots;
    uint64_t *records;
    uint8_t *arena;
    int64_t bits;           /* 2**bits slots */
    int64_t width;          /* words of a record */
    int64_t size;           /* keys */
    int64_t capacity;       /* records that there is room for */
    int64_t arena_size, arena_capacity;
    int64_t null_code;      /* -1 before the first null */
} Keys;

static inline uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define K0 UINT64_C(0xA0761D6478BD642F)
#define K1 UINT64_C(0xE7037ED1A0B428DB)

/* Each word is multiplied by a constant: a product of two words would be 0 for all keys with a certain first
   word. */
static inline uint64_t hash_record(const uint64_t *record, int64_t width) {
    uint64_t hash = K1;
    for (int64_t i = 0; i < width; i++)
        hash = fold(record[i] ^ K0 ^ hash, GM_STEP);
    return hash;
}

static uint64_t hash_bytes(const uint8_t *bytes, int64_t size) {
    uint64_t hash = fold((uint64_t)size ^ K0, GM_STEP);
    for (; size >= 16; bytes += 16, size -= 16)
        hash = fold(load64(bytes) ^ K0 ^ hash, load64(bytes + 8) ^ K1);
    uint64_t last[2] = {0, 0};
    memcpy(last, bytes, (size_t)size);
    return fold(fold(last[0] ^ K0 ^ hash, last[1] ^ K1), GM_STEP);
}

/* Room for RUN new keys with so many *slots* for each, at least 2, and for *arena* octets of long ones; 0 without
   memory. */
int reserve_keys(Keys *keys, int64_t slots, int64_t arena);

static inline int64_t add_key(Keys *keys, const uint64_t *record, int64_t width) {
    memcpy(keys->records + keys->size * width, record, (size_t)width * 8);
    return keys->size++;
}

static inline int same_record(const uint64_t *a, const uint64_t *b, int64_t width) {
    uint64_t different = 0;
    for (int64_t i = 0; i < width; i++)
        different |= a[i] ^ b[i];
    return !different;
}

/* The code of *record*, or -1 - (the empty slot where it belongs). *width* is a constant at each call. */
static inline int64_t find(const Keys *keys, const uint64_t *record, uint64_t hash, int64_t width) {
    int64_t mask = (INT64_C(1) << keys->bits) - 1, at = (int64_t)(hash >> (64 - keys->bits));
    uint64_t tag = hash >> 32;
    for (;; at = (at + 1) & mask) {
        uint64_t slot = keys->slots[at];
        if (!slot)
            return -1 - at;
        if (slot >> 32 == tag) {
            int64_t code = (int64_t)(uint32_t)slot - 1;
            if (LIKELY(same_record(keys->records + code * width, record, width)))
                return code;
        }
    }
}

static inline void fill_slot(Keys *keys, int64_t at, uint64_t hash, int64_t code) {
    keys->slots[at] = (hash >> 32) << 32 | (uint64_t)(code + 1);
}

static const uint64_t LOW[SHORT + 1] = {
    0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF, ~UINT64_C(0),
    ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0)};
static const uint64_t HIGH[SHORT + 1] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF};

/* The record of a short string; *room* is how many bytes may be read from *bytes* on. */
static inline void short_record(const uint8_t *bytes, int64_t size, int64_t room, uint64_t *record) {
    uint64_t words[2] = {0, 0};
    if (LIKELY(room >= 16))
        memcpy(words, bytes, 16);
    else
        memcpy(words, bytes, (size_t)size);
    record[0] = words[0] & LOW[size];
    record[1] = (words[1] & HIGH[size]) | (uint64_t)size << 56;
}

/* As `find`, for a string of more than SHORT bytes. */
static inline int64_t find_long(const Keys *keys, const uint8_t *bytes, int64_t size, uint64_t hash) {
    int64_t mask = (INT64_C(1) << keys->bits) - 1, at = (int64_t)(hash >> (64 - keys->bits));
    for (;; at = (at + 1) & mask) {
        uint64_t slot = keys->slots[at];
        if (!slot)
            return -1 - at;
        if (slot >> 32 != hash >> 32)
            continue;
        int64_t code = (int64_t)(uint32_t)slot - 1;
        const uint64_t *record = keys->records + 2 * code;
        if (record[1] == (LONG_MARK | (uint64_t)size) && !memcmp(keys->arena + record[0], bytes, (size_t)size))
            return code;
    }
}

#endif
