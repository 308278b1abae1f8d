// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/store/storetest"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// What mutated directories are made of: byte 0 of a program chooses, the rest
// goes to storetest.Mutate.
const (
	mutateLog = 1 << iota
	mutateQueues
	mutateIndex
	mutateTop // checkpoint
	afterStop // the directory of a clean stop, not of a kill
)

// written is a record of the directory before it is changed.
type written struct {
	at    int64
	bytes []byte
	queue string
	entry int64
	keys  []string
}

// image is a store directory in memory.
type image struct {
	names   []string
	files   [][]byte
	records []written
}

// images are a killed directory and one of a clean stop: several log files, four
// queues of several files each, several index files, a checkpoint in the middle.
var images = sync.OnceValues(func() (killed, stopped *image) { return newImage(false), newImage(true) })

func newImage(stop bool) *image {
	m := vfs.NewMem()
	s, err := Open(mutatedConfig(m))
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	check(err)
	im := new(image)
	rng := rand.New(rand.NewPCG(11, 12))
	for i := range 90 {
		q := s.Queue(string("AB"[i%2]), int32(rng.IntN(2)))
		w := written{queue: fmt.Sprintf("%s-%d", q.topic, q.id), keys: []string{fmt.Sprintf("n%d", i), fmt.Sprintf("k%d", i%7)}}
		r := rec(w.keys[0], rng.IntN(500), message.PropertyKeys, w.keys[1])
		for j := len(w.keys[0]) + 1; j < len(r.Body); j++ {
			r.Body[j] = byte(rng.Uint32())
		}
		var b Batch
		check(b.Add(q, r))
		check(s.Append(&b))
		w.at, w.entry, w.bytes = b.Result(0).PhysicalOffset, b.Result(0).QueueOffset, bytes.Clone(b.Encoded(0))
		im.records = append(im.records, w)
		if i == 60 {
			check(s.WaitDispatched(s.MaxPhysical()))
			check(s.Flush(s.MaxPhysical()))
			check(s.flushViews())
		}
	}
	check(s.WaitDispatched(s.MaxPhysical()))
	check(s.Flush(s.MaxPhysical()))
	check(s.cqs.Flush())
	if stop {
		check(s.Close())
	} else {
		m = m.Kill()
		_ = s.Close()
	}
	im.read(m, "/data/store")
	return im
}

func mutatedConfig(m *vfs.Mem) Config {
	cfg := memConfig(m)
	cfg.CommitLogFileSize = 4096
	return cfg
}

func (im *image) read(m *vfs.Mem, name string) {
	list, err := m.ReadDir(name)
	if err != nil {
		b, err := vfs.ReadFile(m, name)
		if err != nil {
			panic(err)
		}
		im.names, im.files = append(im.names, name), append(im.files, b)
		return
	}
	for _, base := range list {
		im.read(m, path.Join(name, base))
	}
}

// mutated is the image with changes to the files of the kinds of the program.
func (im *image) mutated(t *testing.T, program []byte) (m *vfs.Mem, files [][]byte) {
	t.Helper()
	what := program[0]
	var at []int
	var chosen [][]byte
	for i, name := range im.names {
		if what&mutateLog != 0 && strings.Contains(name, "/commitlog/") || what&mutateQueues != 0 && strings.Contains(name, "/consumequeue/") ||
			what&mutateIndex != 0 && strings.Contains(name, "/index/") || what&mutateTop != 0 && strings.HasSuffix(name, "/checkpoint") {
			at, chosen = append(at, i), append(chosen, im.files[i])
		}
	}
	files = append(files, im.files...)
	for i, b := range storetest.Mutate(chosen, program[1:]) {
		files[at[i]] = b
	}
	m = vfs.NewMem()
	for i, name := range im.names {
		if err := vfs.MkdirAllSync(m, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(m, name, files[i]); err != nil {
			t.Fatal(err)
		}
	}
	return m, files
}

// log is the log of such files, short ones filled up.
func (im *image) log(files [][]byte) (log []byte) {
	for i, name := range im.names {
		if strings.Contains(name, "/commitlog/") {
			log = append(log, files[i]...)
			log = append(log, make([]byte, 4096-len(files[i]))...)
		}
	}
	return log
}

// FuzzOpenMutated opens a directory whose files were changed in many places.
func FuzzOpenMutated(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for what := range byte(32) {
		f.Add(append([]byte{what}, storetest.Program(rng, 1+int(what)%5)...))
	}
	f.Fuzz(openMutated)
}

// TestOpenMutated is the same over many random changes.
func TestOpenMutated(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 / stride {
		program := append([]byte{byte(i)}, storetest.Program(rng, 1+i%7)...)
		t.Run(hex.EncodeToString(program), func(t *testing.T) { openMutated(t, program) })
	}
}

// openMutated holds that opening ends; that every record that is as it was is
// found in the log, through its queue unless queues were changed, and by its keys
// unless the index was, or, after a kill, the checkpoint; that the store goes on; and that without the views all
// of it is found again in both ways. A view that has not the size of its kind is
// refused by name, and then moved away, as the error says.
func openMutated(t *testing.T, program []byte) {
	if len(program) == 0 {
		return
	}
	killed, stopped := images()
	im, what := killed, program[0]
	if what&afterStop != 0 {
		im = stopped
	}
	m, files := im.mutated(t, program)
	m.Fail(mustEnd(t))
	s, err := Open(mutatedConfig(m))
	for err != nil && what&(mutateQueues|mutateIndex) != 0 {
		dir := "/data/store/index"
		if errors.Is(err, consumequeue.ErrFileSize) {
			dir = "/data/store/consumequeue"
		} else if !errors.Is(err, index.ErrFileSize) {
			break
		}
		if _, _, missing := m.Stat(dir); missing != nil || !strings.Contains(err.Error(), dir) {
			break
		}
		if err := m.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		s, err = Open(mutatedConfig(m))
	}
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	// After a kill the checkpoint is all that says how far the views are complete.
	trusted := what&afterStop != 0 || what&mutateTop == 0
	queues, keys := trusted && what&mutateQueues == 0, trusted && what&mutateIndex == 0
	have := im.survivors(t, s, files)
	have.find(t, s, queues, keys)
	old := len(have.records)
	for _, name := range []string{"A", "B"} {
		for id := range int32(2) {
			have.add(t, s, s.Queue(name, id), fmt.Sprintf("after.%s.%d", name, id))
		}
	}
	dispatched(t, s)
	have.find(t, s, queues, keys)
	closeStore(t, s)
	for _, dir := range []string{"/consumequeue", "/index", "/checkpoint"} {
		if err := m.RemoveAll("/data/store" + dir); err != nil {
			t.Fatal(err)
		}
	}
	if what&mutateQueues != 0 && what&afterStop != 0 {
		// Nothing tells at once that a queue has lost its end after a clean stop: what
		// is appended then has offsets that were given before.
		have.records = have.records[:old]
	}
	s = open(t, mutatedConfig(m))
	have.find(t, s, true, true)
	closeStore(t, s)
}

// mustEnd fails a test that reads for ever.
func mustEnd(t *testing.T) func(vfs.Op, string) error {
	var mu sync.Mutex
	ops := 0
	return func(vfs.Op, string) error {
		mu.Lock()
		defer mu.Unlock()
		if ops++; ops > 1_000_000 {
			panic("it does not end: " + t.Name())
		}
		return nil
	}
}

// survivors are records that must be found. The queues of odd ones need not hold
// theirs: a record whose fixed part or topic was changed, which nothing tells,
// takes a place there that is not its own.
type survivors struct {
	records []written
	odd     map[string]bool
}

func (im *image) survivors(t *testing.T, s *Store, files [][]byte) *survivors {
	t.Helper()
	before, log := im.log(im.files), im.log(files)
	v := &survivors{odd: make(map[string]bool)}
	known := make(map[int64]*written)
	for i := range im.records {
		w := &im.records[i]
		known[w.at] = w
	}
	type span struct{ from, to int64 }
	var strange []span
	for at := range log {
		n, ok := storetest.Sound(log, at)
		if w := known[int64(at)]; !ok || w != nil && bytes.Equal(log[at:at+n], w.bytes) {
			continue
		}
		var r message.Record
		if _, err := message.DecodeRecord(log[at:at+n], &r, true); err != nil {
			t.Fatalf("a record at %d: %v", at, err)
		}
		v.odd[fmt.Sprintf("%s-%d", r.Topic, r.QueueID)] = true
		if w := known[int64(at)]; w != nil {
			v.odd[w.queue] = true
		}
		strange = append(strange, span{int64(at), int64(at + n)})
	}
	for at := range log {
		if storetest.Blank(log, at, 4096) && !storetest.Blank(before, at, 4096) {
			strange = append(strange, span{int64(at), int64(at - at%4096 + 4096)})
		}
	}
records:
	for _, w := range im.records {
		end := w.at + int64(len(w.bytes))
		if !bytes.Equal(log[w.at:end], w.bytes) {
			continue
		}
		for _, x := range strange {
			if x.from < end && x.to > w.at {
				continue records
			}
		}
		v.records = append(v.records, w)
	}
	return v
}

// add appends a record, which must be found from then on.
func (v *survivors) add(t *testing.T, s *Store, q *Queue, name string) {
	t.Helper()
	var b Batch
	if err := b.Add(q, rec(name, 200)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	at := b.Result(0)
	v.records = append(v.records, written{at.PhysicalOffset, bytes.Clone(b.Encoded(0)), fmt.Sprintf("%s-%d", q.topic, q.id), at.QueueOffset, []string{name}})
}

// find holds that all are found: in the log, through queues, by keys.
func (v *survivors) find(t *testing.T, s *Store, queues, keys bool) {
	t.Helper()
	var lost []string
	defer func() {
		if len(lost) > 0 {
			t.Fatalf("%s\nrecovery: %+v", strings.Join(lost, "\n"), s.Stats().Recovery)
		}
	}()
	queued := make(map[string]bool) // queue and bytes
	s.RangeQueues(func(q *Queue) bool {
		for next := q.Min(); next < q.Max(); {
			r, err := s.Get(q, next, 32, 1<<20, Filter{})
			if !queues && errors.Is(err, consumequeue.ErrFileSize) {
				return true
			}
			if err != nil || r.NextOffset <= next {
				t.Fatalf("get %s-%d at %d: %+v %v", q.topic, q.id, next, r, err)
			}
			for _, b := range r.Records {
				queued[fmt.Sprintf("%s-%d", q.topic, q.id)+string(b)] = true
			}
			next = r.NextOffset
			r.Release()
		}
		return true
	})
	byKey := make(map[string]map[int64]bool)
	for _, w := range v.records {
		b, release, err := s.Record(w.at)
		if err != nil || !bytes.Equal(b, w.bytes) {
			lost = append(lost, fmt.Sprintf("the record at %d is as it was and is not found: %v", w.at, err))
			continue
		}
		release()
		if queues && !v.odd[w.queue] && !queued[w.queue+string(w.bytes)] {
			lost = append(lost, fmt.Sprintf("the record at %d is not found as entry %d of %s", w.at, w.entry, w.queue))
		}
		for _, key := range w.keys {
			if k := w.queue[:1] + key; keys && byKey[k] == nil {
				byKey[k] = make(map[int64]bool)
				r, err := s.Query(w.queue[:1], key, 1000, 0, math.MaxInt64)
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range r.Offsets {
					byKey[k][at] = true
				}
				r.Release()
			}
			if keys && !byKey[w.queue[:1]+key][w.at] {
				lost = append(lost, fmt.Sprintf("the record at %d is not found by its key %q", w.at, key))
			}
		}
	}
}
