// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// fill sets the fields of a struct to random values, some of them to none.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if rng.IntN(4) > 0 {
				fill(rng, v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(4), 4))
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.String:
		all := []rune("aT%_+-\"\\\n\x00\x1f\x7f\u0085\u2028é世😀\ufffd")
		var s []byte
		for range rng.IntN(6) {
			s = append(s, string(all[rng.IntN(len(all))])...)
			if rng.IntN(20) == 0 {
				s = append(s, 0xff) // no UTF-8
			}
		}
		v.SetString(string(s))
	default:
		v.SetInt(int64(rng.Uint64()) >> rng.IntN(64))
	}
}

// TestPopWriters: what is written without reflection is what would be with it.
func TestPopWriters(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, b := range []writer{&PopCheckPoint{}, &AckMsg{}} {
		for range 2000 {
			v := reflect.ValueOf(b).Elem()
			v.SetZero()
			fill(rng, v)
			if got, want := string(Marshal(b)), string(fastjson.Marshal(b)); got != want {
				t.Fatalf("%+v is written\n%q, want\n%q", b, got, want)
			}
		}
	}
}

func BenchmarkPopWriters(b *testing.B) {
	a := &AckMsg{AckOffset: 123456, BrokerName: "broker-a", Group: "orders_consumers", PopTime: 1700000000000, QueueID: 3, StartOffset: 123440, Topic: "orders"}
	b.Run("ack", func(b *testing.B) {
		for b.Loop() {
			Marshal(a)
		}
	})
	b.Run("reflected", func(b *testing.B) {
		for b.Loop() {
			fastjson.Marshal(a)
		}
	})
}
