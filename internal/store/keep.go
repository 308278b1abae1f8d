// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// readLog reads the log from offset from on: as a recovery, or for a rebuild,
// which changes nothing in it.
func (s *Store) readLog(from int64, visit func(*message.Record) error) (commitlog.Recovered, error) {
	if s.rebuilding == nil {
		return s.log.Recover(from, visit)
	}
	return s.log.Survey(from, func(rec *message.Record) error {
		if err := s.rebuilding.Err(); err != nil {
			return err
		}
		return visit(rec)
	})
}

// keptOffsetsFile holds a list of KeptOffset as JSON: while a recovery may have
// lowered the offsets and not raised them again, and then of the gaps that it left, for
// as long as the log has records before them.
const keptOffsetsFile = "/keptOffsets.json"

// nextOffsets are the next offsets of queues that a recovery from the log might
// lower: those that end with blank entries, which Rebuild has put there; those of
// the queues that an unfinished Rebuild replaces; and those that an unfinished
// recovery has noted, as this one does.
func (s *Store) nextOffsets() (list []KeptOffset, err error) {
	data, _, err := vfs.ReadConfigFile(s.cfg.FS, s.cfg.Dir+keptOffsetsFile)
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", keptOffsetsFile[1:], err)
	}
	list = slices.DeleteFunc(list, func(k KeptOffset) bool { // the queue is another one, or all before the gap is gone
		return k.At > 0 && (k.At <= s.log.Min() || k.At <= s.deleted.ends[k.Topic])
	})
	s.gaps = slices.Clone(list)
	if s.oldQueues {
		return s.oldOffsets(list)
	}
	if s.recovery.Clean {
		return nil, nil
	}
	noted := len(list)
	err = nil
	s.cqs.Range(func(topic string, id int32, q *consumequeue.Queue) bool {
		var extended bool
		if extended, err = q.Extended(); extended {
			list = append(list, KeptOffset{Topic: topic, ID: id, From: q.Max(), Next: q.Max()})
		}
		return err == nil
	})
	if err != nil || len(list) == noted {
		return list, err
	}
	if data, err = json.Marshal(list); err != nil {
		return nil, err
	}
	return list, vfs.ReplaceFile(s.cfg.FS, s.cfg.Dir+keptOffsetsFile, data)
}

// noteGaps makes the queues durable and leaves in the file what later recoveries have
// to know: which offsets no record of the log has, so that those behind can be right.
func (s *Store) noteGaps() error {
	if err := s.cqs.Flush(); err != nil {
		return err
	}
	var keep []KeptOffset // the log has no record for these: see checkGap
	for _, k := range append(s.gaps, s.kept...) {
		same := func(o KeptOffset) bool { return o.Topic == k.Topic && o.ID == k.ID && o.Next == k.Next }
		if k.From < k.Next && !slices.ContainsFunc(keep, same) {
			keep = append(keep, k)
		}
	}
	if len(keep) > 0 {
		data, err := json.Marshal(keep)
		if err != nil {
			return err
		}
		return vfs.ReplaceFile(s.cfg.FS, s.cfg.Dir+keptOffsetsFile, data)
	}
	for _, name := range []string{keptOffsetsFile + ".bak", keptOffsetsFile} {
		if err := s.cfg.FS.Remove(s.cfg.Dir + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.cfg.FS.SyncDir(s.cfg.Dir)
}

// oldOffsets adds those of the queues that a rebuild replaces to list.
func (s *Store) oldOffsets(list []KeptOffset) ([]KeptOffset, error) {
	root := s.cfg.Dir + replacedQueues
	topics, err := s.cfg.FS.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics {
		ids, err := s.cfg.FS.ReadDir(root + "/" + topic)
		if err != nil || strings.HasPrefix(topic, ".") {
			continue // a file, or a deleted topic
		}
		for _, name := range ids {
			id, err := strconv.ParseInt(name, 10, 32)
			if err != nil || !possible(topic, int32(id)) {
				continue
			}
			next, err := s.oldNext(root + "/" + topic + "/" + name)
			if err != nil {
				return nil, err
			}
			list = append(list, KeptOffset{Topic: topic, ID: int32(id), Next: next})
		}
	}
	return list, nil
}

// oldNext is the offset behind the last entry of the queue in dir, which may be
// damaged: holes before it do not matter.
func (s *Store) oldNext(dir string) (int64, error) {
	names, err := s.cfg.FS.ReadDir(dir)
	if err != nil {
		if _, isDir, statErr := s.cfg.FS.Stat(dir); statErr == nil && !isDir {
			return 0, nil
		}
		return 0, err
	}
	for _, name := range slices.Backward(names) {
		start, ok := segment.Parse(name)
		if !ok || start%entrySize != 0 {
			continue
		}
		end, err := s.lastEntry(dir + "/" + name)
		if err != nil {
			return 0, err
		}
		if end > 0 {
			return start/entrySize + end, nil
		}
	}
	return 0, nil
}

// lastEntry is the number behind the last entry in a file of a queue, 0 without
// any.
func (s *Store) lastEntry(name string) (end int64, err error) {
	f, err := s.cfg.FS.OpenFile(name, 0)
	if err != nil {
		if _, isDir, statErr := s.cfg.FS.Stat(name); statErr == nil && isDir {
			return 0, nil
		}
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 512*entrySize)
	for at := int64(0); at+entrySize <= size; {
		if at, err = f.NextData(at); err != nil {
			return 0, err
		}
		at -= at % entrySize
		b := buf[:max(0, min(int64(len(buf)), (size-at)/entrySize*entrySize))]
		if n, err := f.ReadAt(b, at); n < len(b) {
			return 0, fmt.Errorf("read %s at %d: %w", name, at, err)
		}
		if len(b) == 0 {
			break
		}
		for i := 0; i < len(b); i += entrySize {
			if consumequeue.DecodeEntry(b[i:]).Valid() {
				end = (at+int64(i))/entrySize + 1
			}
		}
		at += int64(len(b))
	}
	return end, nil
}

// unused is how many offsets of [from, to) no record of the queue ever had.
func (s *Store) unused(q *Queue, from, to int64) (n int64) {
	for _, g := range s.gaps {
		if g.Topic == q.topic && g.ID == q.id {
			n += max(0, min(g.Next, to)-max(g.From, from))
		}
	}
	return n
}

// keepOffsets gives queues the next offsets that they had.
func (s *Store) keepOffsets(list []KeptOffset) error {
	most := s.log.End()/message.MinRecordSize + foreignGap
	for _, k := range list {
		q := s.queues.topics[k.Topic][k.ID]
		if q == nil && k.Next > 0 {
			q = s.addQueueLocked(k.Topic, k.ID, s.cqs.Queue(k.Topic, k.ID))
		}
		if q == nil || k.Next <= q.cq.Max() {
			continue
		}
		if k.Next > most {
			s.cfg.Logger.Error("store: the old queue went on at an offset that the log never had room for, not kept",
				"topic", k.Topic, "queue", k.ID, "offset", k.Next, "now", q.cq.Max())
			continue
		}
		k.From, k.At = q.cq.Max(), s.log.End()
		err := q.cq.Extend(k.Next)
		if errors.Is(err, consumequeue.ErrGap) {
			s.cfg.Logger.Error("store: the old queue went on too far behind its last record, not kept",
				"topic", k.Topic, "queue", k.ID, "offset", k.Next, "now", q.cq.Max())
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.cfg.Logger.Info("store: a queue keeps its next offset, the records before it are gone",
			"topic", k.Topic, "queue", k.ID, "offset", k.Next, "last", k.From-1)
		s.kept = append(s.kept, k)
	}
	if len(list) > 0 { // before the old queues go, which would tell once more
		if err := s.noteGaps(); err != nil {
			return err
		}
	}
	return s.endRebuild()
}
