// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package teller

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
)

// Kind says what happened.
type Kind byte

// The kinds, each with the fields that its line has behind it.
//
//	O               a process began to work on the ledger
//	N conn          a connection is about to be dialled
//	B key crc       a transaction begins; CRC-32 of the body
//	S key conn off sent       its half message is acknowledged at this half queue offset
//	X key conn code           its half message is refused
//	D key outcome             the decision, synced
//	A key conn off sent outcome code   an END_TRANSACTION with this outcome is answered
//	W key conn off sent outcome code   one that names the half message wrongly is answered
//	C key conn off            a check-back came
//	H conn sent               a heartbeat is answered
//	F key fault               this fault was made
//	I               no transaction runs and none will begin
//
// off is -1 where a client does not say it, conn then is 0. sent is the number
// of the last line before the request was written.
const (
	Opened    Kind = 'O'
	Dialled   Kind = 'N'
	Begun     Kind = 'B'
	Stored    Kind = 'S'
	Refused   Kind = 'X'
	Decided   Kind = 'D'
	Answered  Kind = 'A'
	Forged    Kind = 'W'
	Checked   Kind = 'C'
	Heartbeat Kind = 'H'
	Faulted   Kind = 'F'
	Idle      Kind = 'I'
)

// Outcome is that of a transaction.
type Outcome byte

// The outcomes. Unknown is never a decision.
const (
	Unknown  Outcome = 'U'
	Commit   Outcome = 'C'
	Rollback Outcome = 'R'
)

// Opposite of Commit is Rollback, and the other way round.
func (o Outcome) Opposite() Outcome {
	if o == Commit {
		return Rollback
	}
	return Commit
}

// Event is a line of a ledger.
type Event struct {
	Kind    Kind
	Outcome Outcome
	Code    int32
	CRC     uint32
	Conn    int
	Sent    int
	Offset  int64
	Key     string
	Fault   Fault
}

// shape is the fields of each kind's line.
var shape = map[Kind]string{
	Opened: "", Dialled: "n", Begun: "kb", Stored: "knos", Refused: "knc", Decided: "kd", Answered: "knosdc", Forged: "knosdc",
	Checked: "kno", Heartbeat: "ns", Faulted: "kf", Idle: "",
}

// appendEvent appends the line.
func appendEvent(b []byte, e *Event) []byte {
	b = append(b, byte(e.Kind))
	for _, f := range shape[e.Kind] {
		b = append(b, ' ')
		switch f {
		case 'k':
			b = append(b, e.Key...)
		case 'n':
			b = strconv.AppendInt(b, int64(e.Conn), 10)
		case 's':
			b = strconv.AppendInt(b, int64(e.Sent), 10)
		case 'o':
			b = strconv.AppendInt(b, e.Offset, 10)
		case 'c':
			b = strconv.AppendInt(b, int64(e.Code), 10)
		case 'b':
			b = strconv.AppendUint(b, uint64(e.CRC), 10)
		case 'd':
			b = append(b, byte(e.Outcome))
		case 'f':
			b = append(b, e.Fault...)
		}
	}
	return append(b, '\n')
}

// parseEvent reads a line, without its end.
func parseEvent(line string) (e Event, err error) {
	words := strings.Split(line, " ")
	if len(words[0]) != 1 {
		return e, fmt.Errorf("line %q: no kind", line)
	}
	e.Kind = Kind(words[0][0])
	fields, ok := shape[e.Kind]
	if !ok || len(words) != 1+len(fields) {
		return e, fmt.Errorf("line %q: %d fields, or an unknown kind", line, len(words)-1)
	}
	for i, f := range fields {
		w := words[1+i]
		var n int64
		if strings.ContainsRune("nsocb", f) {
			if n, err = strconv.ParseInt(w, 10, 64); err != nil {
				return e, fmt.Errorf("line %q: %w", line, err)
			}
		}
		switch f {
		case 'k':
			e.Key = w
		case 'n':
			e.Conn = int(n)
		case 's':
			e.Sent = int(n)
		case 'o':
			e.Offset = n
		case 'c':
			e.Code = int32(n)
		case 'b':
			e.CRC = uint32(n)
		case 'd':
			if w != "C" && w != "R" && w != "U" {
				return e, fmt.Errorf("line %q: outcome %q is none of C, R and U", line, w)
			}
			e.Outcome = Outcome(w[0])
		case 'f':
			e.Fault = Fault(w)
		}
	}
	return e, nil
}

// Read gives the events of a ledger file in order, numbered from 1. A last line
// without an end is left out: its writer was killed, or still writes. After an
// error comes nothing.
func Read(path string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer f.Close()
		in := bufio.NewReaderSize(f, 1<<16)
		for n := 1; ; n++ {
			line, err := in.ReadString('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			var e Event
			if err == nil {
				e, err = parseEvent(line[:len(line)-1])
			}
			if err != nil {
				yield(Event{}, fmt.Errorf("ledger %s line %d: %w", path, n, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}
