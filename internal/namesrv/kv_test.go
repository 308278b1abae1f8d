// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
)

func TestKVRequests(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	w := start(t, fs, nil)
	c := w.client()
	want := func(err error, code int32) {
		t.Helper()
		if have, _ := rpc.CodeOf(err); have != code || (err == nil) != (code == 0) {
			t.Errorf("%v, want code %d", err, code)
		}
	}
	_, err := rpc.GetKV(ctx, c, w.addr, "ns", "k")
	want(err, wire.QueryNotFound)
	_, err = rpc.ListKV(ctx, c, w.addr, "ns")
	want(err, wire.QueryNotFound)
	want(rpc.DeleteKV(ctx, c, w.addr, "ns", "k"), wire.Success)
	want(rpc.PutKV(ctx, c, w.addr, "ns", "k", "v\n\"\u20ac"), wire.Success)
	want(rpc.PutKV(ctx, c, w.addr, "ns", "empty", ""), wire.Success)
	want(rpc.PutKV(ctx, c, w.addr, "", "k", "v"), wire.SystemError)
	want(rpc.PutKV(ctx, c, w.addr, "ns", "", "v"), wire.SystemError)
	want(rpc.PutKV(ctx, c, w.addr, "ns", "bad", "\xff"), wire.SystemError)
	if err := w.srv.kv.put("ns", "big", strings.Repeat("x", 15<<20)); err != nil {
		t.Error(err)
	}
	want(rpc.PutKV(ctx, c, w.addr, "ns", "more", strings.Repeat("x", 1<<19)), wire.Success)
	want(rpc.PutKV(ctx, c, w.addr, "ns", "too much", strings.Repeat("x", 1<<19)), wire.SystemError)
	want(rpc.DeleteKV(ctx, c, w.addr, "ns", "big"), wire.Success)
	want(rpc.DeleteKV(ctx, c, w.addr, "ns", "more"), wire.Success)

	// All of it is there after a power cut, and what was refused is not.
	w.stop()
	w = start(t, fs.Crash(vfs.CrashOptions{}), nil)
	c = w.client()
	table, err := rpc.ListKV(ctx, c, w.addr, "ns")
	if err != nil || !maps.Equal(table, map[string]string{"k": "v\n\"\u20ac", "empty": ""}) {
		t.Errorf("after a power cut: %q, %v", table, err)
	}
	want(rpc.DeleteKV(ctx, c, w.addr, "ns", "k"), wire.Success)
	want(rpc.DeleteKV(ctx, c, w.addr, "ns", "empty"), wire.Success)
	text, err := vfs.ReadFile(w.fs, w.srv.kv.path)
	if want := `{"configTable":{"ns":{}}}`; err != nil || string(text) != want {
		t.Errorf("the file holds %s, %v; want %s as RocketMQ leaves it", text, err, want)
	}
	if table, err = rpc.ListKV(ctx, c, w.addr, "ns"); err != nil || len(table) != 0 {
		t.Errorf("an emptied namespace: %q, %v", table, err)
	}
}

// TestKVFailures lets each operation on the disk fail in turn: the answer says so,
// readers see the old value, the next start finds a whole file, and the next change
// works.
func TestKVFailures(t *testing.T) {
	for step, more := 1, true; more; step++ {
		for _, goOn := range []bool{false, true} {
			more = failKV(t, step, goOn)
		}
		if !more && step < 5 {
			t.Errorf("only %d operations on the disk", step-1)
		}
	}
}

// failKV lets an operation fail, and changes the value again if it is to go on. It
// says whether there was such an operation.
func failKV(t *testing.T, step int, goOn bool) bool {
	t.Helper()
	fs := vfs.NewMem()
	s := &kvStore{fs: fs, path: "/d/kvConfig.json"}
	if _, err := s.open(); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"older", "old"} {
		if err := s.put("ns", "k", v); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	fs.Fail(func(vfs.Op, string) error {
		if n++; n == step {
			return syscall.EIO
		}
		return nil
	})
	err := s.put("ns", "k", "new")
	fs.Fail(nil)
	value, _ := s.get("ns", "k")
	want := []string{"new"}
	if err != nil {
		if want = []string{"old", "new"}; !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "kvConfigPath") || value != "old" {
			t.Errorf("operation %d failed: %v, value %q", step, err, value)
		}
	}
	if goOn {
		want = []string{"newer"}
		if err := s.put("ns", "k", "newer"); err != nil {
			t.Errorf("after operation %d failed: %v", step, err)
		}
	}
	again := &kvStore{fs: fs.Crash(vfs.CrashOptions{}), path: s.path}
	if _, err := again.open(); err != nil {
		t.Fatalf("operation %d failed: next start: %v", step, err)
	}
	if stored, _ := again.get("ns", "k"); !slices.Contains(want, stored) {
		t.Errorf("operation %d failed, further change %v: stored is %q, want one of %q", step, goOn, stored, want)
	}
	return n >= step
}

// TestKVPowerCut cuts the power after some changes were answered and others not.
func TestKVPowerCut(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := vfs.NewMem()
		s := &kvStore{fs: fs, path: "/d/kvConfig.json"}
		if _, err := s.open(); err != nil {
			t.Fatal(err)
		}
		for i := range 1 + rng.IntN(5) {
			if err := s.put("ns", fmt.Sprint("k", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		answered := maps.Clone((*s.now.Load())["ns"])
		left := rng.IntN(12)
		fs.Fail(func(vfs.Op, string) error {
			if left--; left < 0 {
				return syscall.EIO
			}
			return nil
		})
		err := s.put("ns", "last", "v")
		fs.Fail(nil)
		after := &kvStore{fs: fs.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng}), path: s.path}
		if _, lerr := after.open(); lerr != nil {
			t.Fatalf("seed %d: %v", seed, lerr)
		}
		have, _ := after.list("ns")
		for k := range answered {
			if have[k] != "v" {
				t.Errorf("seed %d: the answered %s is lost", seed, k)
			}
		}
		if err == nil && have["last"] != "v" {
			t.Errorf("seed %d: the last change was answered and is lost", seed)
		}
	}
}

func TestKVFileRead(t *testing.T) {
	load := func(files map[string]string) (*kvStore, bool, error) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := vfs.ReplaceFile(fs, name, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		s := &kvStore{fs: fs, path: "/d/kv"}
		backup, err := s.open()
		return s, backup, err
	}
	java := `{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:2"},"NS":{}}}`
	for _, name := range []string{"/d/kv", "/d/kv.bak"} {
		s, backup, err := load(map[string]string{name: java})
		if v, _ := s.get(orderNamespace, "T"); err != nil || v != "broker-a:2" || backup != (name == "/d/kv.bak") {
			t.Errorf("%s: %q, from backup %v, %v", name, v, backup, err)
		}
	}
	for _, bad := range []string{"x", "[]", `{"configTable":{"a":"b"}}`, `{"configTable":`, `{"configTable":{"a":{"b":[]}}}`} {
		if _, _, err := load(map[string]string{"/d/kv": bad}); err == nil || !strings.Contains(err.Error(), "kvConfigPath /d/kv") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if s, _, err := load(map[string]string{"/d/kv": `{}`}); err != nil || s.put("a", "b", "c") != nil {
		t.Errorf("an object without a table: %v", err)
	}
}

func TestKVConcurrently(t *testing.T) {
	s := &kvStore{fs: vfs.NewMem(), path: "/kv"}
	if _, err := s.open(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				for ns := range 4 {
					values, _ := s.list(fmt.Sprint(ns))
					for k, v := range values {
						if v != k {
							t.Errorf("%s is %s", k, v)
						}
					}
				}
			}
		})
	}
	var writers sync.WaitGroup
	for ns := range 4 {
		writers.Go(func() {
			for i := range 50 {
				if err := s.put(fmt.Sprint(ns), fmt.Sprint(i), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
				if i%2 == 1 {
					if err := s.remove(fmt.Sprint(ns), fmt.Sprint(i)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	wg.Wait()
	for ns := range 4 {
		values, _ := s.list(fmt.Sprint(ns))
		if len(values) != 25 || slices.Contains(slices.Collect(maps.Keys(values)), "1") {
			t.Errorf("namespace %d: %v", ns, values)
		}
	}
}
