// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

const golden = "../../testdata/golden/"

// manifest is what Java itself read from a golden directory.
type manifest struct{ Messages []stored }

type stored struct {
	Topic                        string
	QueueOffset, CommitLogOffset int64
	StoreSize, SysFlag           int64
	PreparedTransactionOffset    int64
	BodySha256                   string
	Properties                   map[string]string
}

func (m *manifest) at(physical int64) stored {
	for _, x := range m.Messages {
		if x.CommitLogOffset == physical {
			return x
		}
	}
	return stored{}
}

func readManifest(t *testing.T, name string) *manifest {
	t.Helper()
	data, err := os.ReadFile(golden + name + ".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	m := &manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// halves gives the queue offsets of the half messages from an offset on, by
// whether the manifest has an op record of them.
func (m *manifest) halves(from int64) (resolved, pending []int64) {
	ops := map[string]bool{}
	for _, x := range m.Messages {
		if x.Topic == opTopic {
			ops[x.BodySha256] = true
		}
	}
	for _, x := range m.Messages {
		if x.Topic != halfTopic || x.QueueOffset < from {
			continue
		}
		sum := sha256.Sum256([]byte(strconv.FormatInt(x.QueueOffset, 10)))
		if ops[hex.EncodeToString(sum[:])] {
			resolved = append(resolved, x.QueueOffset)
		} else {
			pending = append(pending, x.QueueOffset)
		}
	}
	return resolved, pending
}

// keyed gives the queue offsets of the half messages with this KEYS.
func (m *manifest) keyed(keys string) (all []int64) {
	for _, x := range m.Messages {
		if x.Topic == halfTopic && x.Properties["KEYS"] == keys {
			all = append(all, x.QueueOffset)
		}
	}
	return all
}

func (m *manifest) end() int64 {
	last := m.Messages[len(m.Messages)-1]
	return last.CommitLogOffset + last.StoreSize
}

// as is how the golden directories were made, but for the time-out.
var as = Options{CheckMax: 2, ReservedTime: 720 * time.Hour}

func runGolden(t *testing.T, name string, o Options) *Report {
	t.Helper()
	r, err := Run(nil, golden+name, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A stopped Java broker left four transactions pending and nothing to commit
// twice.
func TestGoldenClean(t *testing.T) {
	m := readManifest(t, "store-clean")
	r := runGolden(t, "store-clean", as)
	want(t, r)
	resolved, pending := m.halves(r.HalfOffset)
	if r.HalfOffset != 14 || r.OpOffset != 7 || r.LogEnd < m.end() || len(resolved) != 0 {
		t.Errorf("%s; the manifest's last record ends at %d; resolved %v", r, m.end(), resolved)
	}
	immune := m.keyed("tx-immune-pending")[1]
	wantList(t, "immune", r.Immune, immune)
	wantList(t, "discarded", r.WouldDiscard, immune) // unasked: being put back is counted as a check
	wantList(t, "checked", r.WouldCheck, slices.DeleteFunc(pending, func(o int64) bool { return o == immune })...)
	for _, h := range r.WouldCheck {
		if p := m.at(h.Physical).Properties; h.Key != p["UNIQ_KEY"] || h.Group != "G_tx" || h.Topic != "GTx" || h.Checks != 1 {
			t.Errorf("checked %+v, the manifest has %v", h, p)
		}
	}
}

// A killed Java broker had not stored its offsets: it asks twice about those that
// it had checked, but nothing in this log is committed twice.
func TestGoldenKilled(t *testing.T) {
	m := readManifest(t, "store-killed")
	r := runGolden(t, "store-killed", as)
	if r.HalfOffset != 12 || r.OpOffset != 7 || r.LogEnd < m.end() {
		t.Errorf("%s; the manifest's last record ends at %d", r, m.end())
	}
	resolved, pending := m.halves(r.HalfOffset)
	wantList(t, "resolved", r.Resolved, resolved...)
	var checked, discarded []int64
	asked := map[string][]int64{} // by UNIQ_KEY
	for _, x := range m.Messages {
		if x.Topic != halfTopic || !slices.Contains(pending, x.QueueOffset) {
			continue
		}
		if x.Properties["TRANSACTION_CHECK_TIMES"] == "2" || x.Properties["CHECK_IMMUNITY_TIME_IN_SECONDS"] != "" {
			discarded = append(discarded, x.QueueOffset)
			continue
		}
		checked = append(checked, x.QueueOffset)
		key := x.Properties["UNIQ_KEY"]
		asked[key] = append(asked[key], x.QueueOffset)
	}
	wantList(t, "checked", r.WouldCheck, checked...)
	wantList(t, "discarded", r.WouldDiscard, discarded...)
	var twice []string
	for _, offs := range asked {
		if len(offs) > 1 {
			twice = append(twice, fmt.Sprint("asked ", offs))
		}
	}
	slices.Sort(twice)
	if len(twice) != 3 {
		t.Errorf("the manifest has %q", twice)
	}
	want(t, r, twice...)
}

// The same directory with an op offset that is too far: every committed one whose
// half message is looked at again is found.
func TestGoldenWithLostOpRecords(t *testing.T) {
	m := readManifest(t, "store-killed")
	dir := t.TempDir() + "/store"
	if err := os.CopyFS(dir, os.DirFS(golden+"store-killed")); err != nil {
		t.Fatal(err)
	}
	offsets := fmt.Sprintf(`{"offsetTable":{"%s@%s":{0:0},"%s@%s":{0:42}}}`, halfTopic, checkGroup, opTopic, checkGroup)
	name := dir + "/config/consumerOffset.json"
	if err := os.Remove(name); err != nil { // it may be read-only, as the golden one is
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(offsets), 0o644); err != nil {
		t.Fatal(err)
	}
	o := as
	o.CheckMax = 15
	r, err := Run(nil, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	var got, committed []int64
	for _, c := range r.CommitTwice {
		got = append(got, c.Committed...)
	}
	for _, x := range m.Messages {
		if x.SysFlag&12 == 8 {
			committed = append(committed, x.CommitLogOffset)
			if m.at(x.PreparedTransactionOffset).Topic != halfTopic {
				t.Errorf("the committed record at %d has no half message", x.CommitLogOffset)
			}
		}
	}
	slices.Sort(got)
	if len(committed) < 20 || !slices.Equal(got, committed) {
		t.Errorf("commits twice: %v, want %v", got, committed)
	}
	rolledBack := m.keyed("tx-rollback-1")
	if !slices.ContainsFunc(r.CommitAfter, func(c Conflict) bool { return slices.Equal(c.Chain, rolledBack) }) {
		t.Errorf("a rolled back one that is asked about is not listed: %s", r)
	}
}
