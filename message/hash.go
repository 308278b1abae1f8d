// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import "unicode/utf8"

// HashCode is the hash that Java's String.hashCode gives the text: s[0]*31^(n-1)
// + ... + s[n-1] over UTF-16 units, modulo 2^32. s is UTF-8; a byte that is not
// counts as U+FFFD. It does not allocate.
func HashCode[T ~string | ~[]byte](s T) int32 { return hashOnto(0, s) }

// TagsCode is the number a consume queue entry and a subscription hold for the
// tags: HashCode, sign extended; 0 for none.
func TagsCode[T ~string | ~[]byte](tags T) int64 { return int64(HashCode(tags)) }

// KeyHash is the number an index entry holds for a key of a message: the
// absolute value of the hash of topic, '#' and key; 0 for the one hash that has
// no absolute value. It does not allocate.
//
// Source: IndexFile.indexKeyHashMethod of Apache RocketMQ.
func KeyHash[T, K ~string | ~[]byte](topic T, key K) int32 {
	h := hashOnto(hashOnto(0, topic)*31+'#', key)
	if h < 0 {
		h = -h
	}
	return max(h, 0) // the smallest int32 is its own negative
}

// hashOnto goes on from the hash h of a text in front of s.
func hashOnto[T ~string | ~[]byte](h int32, s T) int32 {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			h = h*31 + int32(c)
			i++
			continue
		}
		var unit [utf8.UTFMax]byte
		r, size := utf8.DecodeRune(unit[:copy(unit[:], s[i:])])
		i += size
		if r > 0xFFFF {
			r -= 0x10000
			h = h*31 + 0xD800 + r>>10
			r = 0xDC00 + r&0x3FF
		}
		h = h*31 + r
	}
	return h
}
