// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/fastjson"
)

// offsetFile is config/delayOffset.json, in RocketMQ's form and place with one
// field more:
//
//	{
//		"logOffset":495742,
//		"offsetTable":{1:5,2:1,3:1,4:2
//		}
//	}
//
// Source: DelayOffsetSerializeWrapper of Apache RocketMQ, which skips fields that
// it does not know, and so drops logOffset when it writes the file.
type offsetFile struct {
	// OffsetTable: the first entry not delivered, by level.
	OffsetTable map[int32]int64 `json:"offsetTable"`
	// LogOffset: what has been delivered of entries before those stands before
	// it in the log, what will be of the others behind it. Nil: not known.
	LogOffset *int64 `json:"logOffset"`
}

// maxSearch is how many bytes of log may follow the note before it is written
// again without news, so that Open never has to look through much.
const maxSearch = 256 << 20

// limits of the text: one number for each level.
var limits = fastjson.Limits{Size: 1 << 20, Depth: 16, Objects: 64}

func encodeOffsets(f offsetFile) []byte { return fastjson.MarshalPretty(f) }

func decodeOffsets(text []byte) (offsetFile, error) {
	var f offsetFile
	if err := limits.Unmarshal(text, &f); err != nil {
		return offsetFile{}, err
	}
	for number, offset := range f.OffsetTable {
		if number < 1 || offset < 0 {
			return offsetFile{}, fmt.Errorf("level %d has offset %d", number, offset)
		}
	}
	if f.LogOffset != nil && *f.LogOffset < 0 {
		return offsetFile{}, fmt.Errorf("logOffset is %d", *f.LogOffset)
	}
	return f, nil
}

// readOffsets reads the file, or its backup when it is missing, blank or
// damaged. Neither of them is no error.
func (s *Service) readOffsets() (offsetFile, error) {
	data, backup, err := vfs.ReadConfigFile(s.cfg.FS, s.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return offsetFile{}, nil
	}
	if err != nil {
		return offsetFile{}, fmt.Errorf("delay offsets: %w", err)
	}
	f, err := decodeOffsets(data)
	if err != nil && !backup {
		damaged := err
		if data, err = vfs.ReadFile(s.cfg.FS, s.cfg.Path+".bak"); err == nil {
			f, err = decodeOffsets(data)
		}
		if err != nil {
			err = damaged
		} else {
			s.cfg.Logger.Warn("the delay offsets are damaged, their backup is used", "file", s.cfg.Path, "error", damaged)
		}
	} else if backup {
		s.cfg.Logger.Warn("the delay offsets were missing or blank, their backup is used", "file", s.cfg.Path)
	}
	if err != nil {
		return offsetFile{}, fmt.Errorf("delay offsets: %s: %w (mend the file, or remove it: what was delivered is then looked up in the log)", s.cfg.Path, err)
	}
	return f, nil
}

// Offsets returns the first entry not delivered by level, as RocketMQ answers
// request 45: levels of which nothing has been delivered are left out.
func (s *Service) Offsets() map[int32]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	table := make(map[int32]int64, len(s.levels)+len(s.stray))
	for _, lv := range s.levels {
		if lv.next > 0 {
			table[int32(lv.number)] = lv.next
		}
	}
	for _, st := range s.stray {
		table[int32(st.level)] = st.offset
	}
	return table
}

// Persist notes how far delivery is, durably, if that has changed
// or the log has grown much. What is noted
// as delivered is durable in the log before. Run does it every FlushInterval and
// Close at the end; call it before a topic is deleted, so that what the topic
// got is not looked for in vain after a kill.
func (s *Service) Persist() error {
	s.noting.Lock()
	defer s.noting.Unlock()
	s.deliver.Lock() // no delivery between the two
	f := offsetFile{OffsetTable: s.Offsets()}
	end := s.cfg.Log.MaxPhysical()
	s.deliver.Unlock()
	if s.file.LogOffset != nil && maps.Equal(f.OffsetTable, s.file.OffsetTable) &&
		end-*s.file.LogOffset < maxSearch {
		return nil
	}
	f.LogOffset = &end
	err := s.cfg.Log.Flush(end)
	if err == nil {
		err = vfs.ReplaceFile(s.cfg.FS, s.cfg.Path, encodeOffsets(f))
	}
	if err != nil {
		return fmt.Errorf("delay offsets: %w", err)
	}
	s.file = f
	return nil
}
