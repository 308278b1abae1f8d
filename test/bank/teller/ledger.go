// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package teller

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Ledger is a process's own record of what it did and decided. Safe for
// concurrent use.
type Ledger struct {
	f *os.File

	mu        sync.Mutex
	settled   sync.Cond // a sync ended
	lines     int
	size      int64
	synced    int64 // bytes that are known to be on disk
	syncing   bool
	begun     int // transactions
	decisions map[string]decision
	err       error // the first; nothing is written after it
	buf       []byte
}

// decision is an outcome and the size of the file behind its line.
type decision struct {
	outcome Outcome
	end     int64
}

// Open opens a ledger or makes it, and takes over what it says.
func Open(path string) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	l := &Ledger{f: f, decisions: make(map[string]decision)}
	l.settled.L = &l.mu
	if err := l.load(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	l.Note(Event{Kind: Opened})
	return l, nil
}

// load reads what is there, cuts off a torn last line and syncs the rest: a
// decision that is there may be told.
func (l *Ledger) load() error {
	in := bufio.NewReaderSize(l.f, 1<<16)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		e, err := parseEvent(string(bytes.TrimSuffix(line, []byte("\n"))))
		if err != nil {
			return fmt.Errorf("line %d: %w", l.lines+1, err)
		}
		l.lines++
		l.size += int64(len(line))
		switch e.Kind {
		case Begun:
			l.begun++
		case Decided:
			l.decisions[e.Key] = decision{e.Outcome, l.size}
		}
	}
	if err := l.f.Truncate(l.size); err != nil {
		return err
	}
	l.synced = l.size
	return l.f.Sync()
}

// Note writes an event. An error shows in Err, and in the next Decide.
func (l *Ledger) Note(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(&e)
}

func (l *Ledger) note(e *Event) {
	if l.err != nil {
		return
	}
	l.buf = appendEvent(l.buf[:0], e)
	if _, err := l.f.Write(l.buf); err != nil {
		l.err = err
		return
	}
	l.lines++
	l.size += int64(len(l.buf))
	if e.Kind == Begun {
		l.begun++
	}
}

// Decide decides a transaction, unless that was done before, and gives its
// outcome when it is on disk. Those who wait at the same time share a sync.
func (l *Ledger) Decide(key string, want Outcome) (Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.decisions[key]
	if !ok {
		l.note(&Event{Kind: Decided, Key: key, Outcome: want})
		d = decision{want, l.size}
		if l.err == nil {
			l.decisions[key] = d
		}
	}
	for l.err == nil && l.synced < d.end {
		if l.syncing {
			l.settled.Wait()
			continue
		}
		end := l.size
		l.syncing = true
		l.mu.Unlock()
		err := l.f.Sync()
		l.mu.Lock()
		l.syncing = false
		l.synced = end
		if l.err == nil {
			l.err = err
		}
		l.settled.Broadcast()
	}
	return d.outcome, l.err
}

// Decision gives the outcome of a transaction that is decided.
func (l *Ledger) Decision(key string) (Outcome, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.decisions[key]
	return d.outcome, ok
}

// Line is the number of the last line.
func (l *Ledger) Line() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines
}

// Begun is how many transactions began, in all lives of the process.
func (l *Ledger) Begun() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun
}

// Err is the first error of writing.
func (l *Ledger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close closes the file. No call may follow.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.err, l.f.Close())
}
