// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// Scenario is one recording.
type Scenario struct {
	Name        string // that of the file, without .txt
	What        string // what was done
	Connections []Connection
	Cuts        []string // what was left out of the recording, as "1 x 105 ..."
	Frames      []Frame
	Transfers   []Transfer // of the replication port only
}

// Connection describes one connection of a scenario.
type Connection struct {
	Number int
	From   string // who opened it, such as "client"
	To     string // such as "name server", "broker"
}

// Frame is one recorded frame.
type Frame struct {
	Number int
	From   string
	To     string
	Conn   int           // number of the connection
	At     time.Duration // since the first frame of the scenario
	Kind   Kind
	Stated Stated
	Bytes  []byte // the whole frame; its first four bytes are the length
	Header string // the header as JSON
}

// Payload is the frame without its length.
func (f *Frame) Payload() []byte { return f.Bytes[4:] }

// Kind is what a frame is.
type Kind struct {
	Response   bool
	OneWay     bool   // a request that is flagged so
	Unanswered bool   // a request that got no answer before the connection ended
	Code       int32  // of the request or the answer
	Name       string // of the code
	Request    int32  // of an answer: the code of the request
}

// Stated is what the recording says about a frame, for comparison.
type Stated struct {
	Code, Opaque, Flag         int32
	Encoding                   string // JSON or ROCKETMQ
	Length, HeaderSize, BodyAt int    // of the whole frame, of the header, where the body begins
	BodySize                   int
}

// Transfer is a run of bytes on the replication port.
type Transfer struct {
	Number int
	Conn   int
	What   string
	At     time.Duration
	Bytes  []byte
}

// Load reads all *.txt files of a directory, by name.
func Load(fsys fs.FS) ([]*Scenario, error) {
	names, err := fs.Glob(fsys, "*.txt")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("wiretest: no recording (*.txt) in the directory")
	}
	var all []*Scenario
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(strings.TrimSuffix(path.Base(name), ".txt"), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Exchange is a request and its answer.
type Exchange struct {
	Request *Frame
	Answer  *Frame // nil when there is none
}

// Exchanges pairs the requests of the scenario with their answers, in the order
// of the requests. A request that is one-way or unanswered stands alone.
func (s *Scenario) Exchanges() []Exchange {
	var all []Exchange
	for i := range s.Frames {
		f := &s.Frames[i]
		if !f.Kind.Response {
			all = append(all, Exchange{Request: f})
			continue
		}
		for j := len(all) - 1; j >= 0; j-- {
			r := all[j].Request
			if all[j].Answer == nil && r.Conn == f.Conn && r.From == f.To &&
				r.Stated.Opaque == f.Stated.Opaque && r.Kind.Code == f.Kind.Request {
				all[j].Answer = f
				break
			}
		}
	}
	return all
}
