// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"testing"
)

func fields(pairs ...string) []Field {
	var f []Field
	for i := 0; i < len(pairs); i += 2 {
		f = append(f, Field{[]byte(pairs[i]), []byte(pairs[i+1])})
	}
	return f
}

func TestSignatureIsOverValuesInTheOrderOfNames(t *testing.T) {
	h := hmac.New(sha1.New, []byte("12345678"))
	h.Write([]byte("keyAvalueBbody"))
	want := base64.StdEncoding.EncodeToString(h.Sum(nil))
	k := NewKey("12345678")
	if got := k.Sign(fields("b", "valueB", "Signature", "not this", "AccessKey", "keyA"), []byte("body")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !k.Verify(fields("AccessKey", "keyA", "b", "valueB"), []byte("body"), []byte(want)) {
		t.Error("its own signature was refused")
	}
	for name, ok := range map[string]bool{
		"another value":  k.Verify(fields("AccessKey", "keyA", "b", "valueC"), []byte("body"), []byte(want)),
		"another body":   k.Verify(fields("AccessKey", "keyA", "b", "valueB"), []byte("bodY"), []byte(want)),
		"another field":  k.Verify(fields("AccessKey", "keyA", "b", "valueB", "c", "x"), []byte("body"), []byte(want)),
		"no signature":   k.Verify(fields("AccessKey", "keyA", "b", "valueB"), []byte("body"), nil),
		"a cut one":      k.Verify(fields("AccessKey", "keyA", "b", "valueB"), []byte("body"), []byte(want[:27])),
		"another secret": NewKey("12345679").Verify(fields("AccessKey", "keyA", "b", "valueB"), []byte("body"), []byte(want)),
	} {
		if ok {
			t.Errorf("%s was accepted", name)
		}
	}
}

// TestVerifyAllocatesNothing: it runs for each send.
func TestVerifyAllocatesNothing(t *testing.T) {
	k := NewKey("12345678")
	f, body := fields("a", "group", "b", "topic", "i", "properties", "AccessKey", "someone"), make([]byte, 256)
	sig := []byte(k.Sign(f, body))
	if n := testing.AllocsPerRun(100, func() {
		if !k.Verify(f, body, sig) {
			t.Fatal("refused")
		}
	}); n > 0.5 && !raceEnabled { // a collection may empty the pool, and the race detector does
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	k := NewKey("12345678")
	f, body := fields("a", "group", "b", "topic", "c", "TBW102", "d", "4", "e", "0", "f", "0", "g", "1700000000000", "h", "0", "i", "UNIQ_KEY\x01C0A80001", "j", "0", "AccessKey", "someone"), make([]byte, 256)
	sig := []byte(k.Sign(f, body))
	b.ReportAllocs()
	for b.Loop() {
		k.Verify(f, body, sig)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("a", "value", []byte("body"), []byte("c2lnbmF0dXJl"))
	f.Fuzz(func(t *testing.T, name, value string, body, signature []byte) {
		k := NewKey("12345678")
		fs := fields(name, value, "AccessKey", "k")
		sig := k.Sign(fs, body)
		if !k.Verify(fs, body, []byte(sig)) || string(signature) != sig && k.Verify(fs, body, signature) {
			t.Fatal("what was signed is refused, or what was not is accepted")
		}
	})
}
