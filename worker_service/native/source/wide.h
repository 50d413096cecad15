/* 64 bytes at a time as bits: bit i of a mask tells about byte i.

   wide_is and wide_upto set all bits of each byte that is the octet, or at most it, and none of the others.
   wide_high gives the highest bit of each byte, wide_any_high whether one is set.

   AVX2, SSE2 and NEON where the compiler targets them, else, or with GM_PORTABLE, plain C. */
#ifndef GRISTMILL_WIDE_H
#define GRISTMILL_WIDE_H

#include "gristmill.h"

#if defined(__AVX2__) && !defined(GM_PORTABLE)
#include <immintrin.h>
typedef struct { __m256i part[2]; } wide;
typedef __m256i octets;

static inline wide wide_load(const uint8_t *at) {
    return (wide){{_mm256_loadu_si256((const __m256i *)at), _mm256_loadu_si256((const __m256i *)(at + 32))}};
}
static inline octets wide_octet(uint8_t octet) { return _mm256_set1_epi8((char)octet); }
static inline uint64_t wide_joined(__m256i low, __m256i high) {
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}
static inline wide wide_is(wide w, octets o) {
    return (wide){{_mm256_cmpeq_epi8(w.part[0], o), _mm256_cmpeq_epi8(w.part[1], o)}};
}
static inline wide wide_upto(wide w, octets o) {
    return (wide){{_mm256_cmpeq_epi8(_mm256_min_epu8(w.part[0], o), w.part[0]),
                   _mm256_cmpeq_epi8(_mm256_min_epu8(w.part[1], o), w.part[1])}};
}
static inline wide wide_or(wide a, wide b) {
    return (wide){{_mm256_or_si256(a.part[0], b.part[0]), _mm256_or_si256(a.part[1], b.part[1])}};
}
static inline wide wide_without(wide a, wide b) {
    return (wide){{_mm256_andnot_si256(b.part[0], a.part[0]), _mm256_andnot_si256(b.part[1], a.part[1])}};
}
static inline uint64_t wide_high(wide w) { return wide_joined(w.part[0], w.part[1]); }
static inline int wide_any_high(wide w) {
    return _mm256_movemask_epi8(_mm256_or_si256(w.part[0], w.part[1])) != 0;
}

#elif defined(__SSE2__) && !defined(GM_PORTABLE)
#include <emmintrin.h>
typedef struct { __m128i part[4]; } wide;
typedef __m128i octets;

static inline wide wide_load(const uint8_t *at) {
    wide w;
    for (int i = 0; i < 4; i++)
        w.part[i] = _mm_loadu_si128((const __m128i *)(at + 16 * i));
    return w;
}
static inline octets wide_octet(uint8_t octet) { return _mm_set1_epi8((char)octet); }
static inline uint64_t wide_joined(const __m128i *p) {
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++)
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(p[i]) << (16 * i);
    return bits;
}
static inline wide wide_is(wide w, octets o) {
    for (int i = 0; i < 4; i++)
        w.part[i] = _mm_cmpeq_epi8(w.part[i], o);
    return w;
}
static inline wide wide_upto(wide w, octets o) {
    for (int i = 0; i < 4; i++)
        w.part[i] = _mm_cmpeq_epi8(_mm_min_epu8(w.part[i], o), w.part[i]);
    return w;
}
static inline wide wide_or(wide a, wide b) {
    for (int i = 0; i < 4; i++)
        a.part[i] = _mm_or_si128(a.part[i], b.part[i]);
    return a;
}
static inline wide wide_without(wide a, wide b) {
    for (int i = 0; i < 4; i++)
        a.part[i] = _mm_andnot_si128(b.part[i], a.part[i]);
    return a;
}
static inline uint64_t wide_high(wide w) { return wide_joined(w.part); }
static inline int wide_any_high(wide w) {
    return _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(w.part[0], w.part[1]),
                                          _mm_or_si128(w.part[2], w.part[3]))) != 0;
}

#elif defined(__ARM_NEON) && defined(__aarch64__) && !defined(GM_PORTABLE)
#include <arm_neon.h>
typedef struct { uint8x16_t part[4]; } wide;
typedef uint8x16_t octets;

static inline wide wide_load(const uint8_t *at) {
    return (wide){{vld1q_u8(at), vld1q_u8(at + 16), vld1q_u8(at + 32), vld1q_u8(at + 48)}};
}
static inline octets wide_octet(uint8_t octet) { return vdupq_n_u8(octet); }
static inline uint64_t wide_joined(const uint8x16_t *p) {
    static const uint8_t bit_of[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bit = vld1q_u8(bit_of);
    uint8x16_t low = vpaddq_u8(vandq_u8(p[0], bit), vandq_u8(p[1], bit));
    uint8x16_t high = vpaddq_u8(vandq_u8(p[2], bit), vandq_u8(p[3], bit));
    low = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(low, low)), 0);
}
static inline wide wide_is(wide w, octets o) {
    for (int i = 0; i < 4; i++)
        w.part[i] = vceqq_u8(w.part[i], o);
    return w;
}
static inline wide wide_upto(wide w, octets o) {
    for (int i = 0; i < 4; i++)
        w.part[i] = vcleq_u8(w.part[i], o);
    return w;
}
static inline wide wide_or(wide a, wide b) {
    for (int i = 0; i < 4; i++)
        a.part[i] = vorrq_u8(a.part[i], b.part[i]);
    return a;
}
static inline wide wide_without(wide a, wide b) {
    for (int i = 0; i < 4; i++)
        a.part[i] = vbicq_u8(a.part[i], b.part[i]);
    return a;
}
static inline uint64_t wide_high(wide w) {
    for (int i = 0; i < 4; i++)
        w.part[i] = vcgeq_u8(w.part[i], vdupq_n_u8(128));
    return wide_joined(w.part);
}
static inline int wide_any_high(wide w) {
    return vmaxvq_u8(vorrq_u8(vorrq_u8(w.part[0], w.part[1]), vorrq_u8(w.part[2], w.part[3]))) > 127;
}

#else
typedef struct { uint8_t part[64]; } wide;
typedef uint8_t octets;

static inline wide wide_load(const uint8_t *at) {
    wide w;
    memcpy(w.part, at, 64);
    return w;
}
static inline octets wide_octet(uint8_t octet) { return octet; }
static inline wide wide_is(wide w, octets o) {
    for (int i = 0; i < 64; i++)
        w.part[i] = (uint8_t)-(w.part[i] == o);
    return w;
}
static inline wide wide_upto(wide w, octets o) {
    for (int i = 0; i < 64; i++)
        w.part[i] = (uint8_t)-(w.part[i] <= o);
    return w;
}
static inline wide wide_or(wide a, wide b) {
    for (int i = 0; i < 64; i++)
        a.part[i] |= b.part[i];
    return a;
}
static inline wide wide_without(wide a, wide b) {
    for (int i = 0; i < 64; i++)
        a.part[i] &= (uint8_t)~b.part[i];
    return a;
}
static inline uint64_t wide_high(wide w) {
    uint64_t bits = 0;
    for (int i = 0; i < 64; i++)
        bits |= (uint64_t)(w.part[i] >> 7) << i;
    return bits;
}
static inline int wide_any_high(wide w) { return wide_high(w) != 0; }
#endif

/* Bits: of the bytes that are the octet, and of those that are at most it. */
static inline uint64_t wide_equal(wide w, octets o) { return wide_high(wide_is(w, o)); }
static inline uint64_t wide_at_most(wide w, octets o) { return wide_high(wide_upto(w, o)); }

#endif
