// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// savedOffsets reads the offsets that a broker has stored, by "topic@group" and
// queue. One that was killed while it replaced the file left only the backup.
func savedOffsets(config string) (map[string]map[string]int64, error) {
	var text []byte
	for _, name := range []string{"consumerOffset.json", "consumerOffset.json.bak"} {
		var err error
		text, err = os.ReadFile(filepath.Join(config, name))
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if len(text) == 0 { // none yet
		return nil, nil
	}
	var saved struct {
		OffsetTable map[string]map[string]int64 `json:"offsetTable"`
	}
	if err := fastjson.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("consumerOffset.json in %s: %w", config, err)
	}
	return saved.OffsetTable, nil
}

func TestSavedOffsets(t *testing.T) {
	dir := t.TempDir()
	want := func(offsets map[string]int64) {
		t.Helper()
		if have, err := savedOffsets(dir); err != nil || !maps.Equal(have["T@g"], offsets) {
			t.Errorf("%v, %v; want %v", have, err, offsets)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want(nil)
	write("consumerOffset.json.bak", `{"offsetTable":{"T@g":{0:5}}}`)
	want(map[string]int64{"0": 5})
	write("consumerOffset.json", `{"offsetTable":{"T@g":{0:7,1:8}}}`)
	want(map[string]int64{"0": 7, "1": 8})
	write("consumerOffset.json", `{"offsetTable":`)
	if have, err := savedOffsets(dir); err == nil {
		t.Errorf("half a file is read as %v", have)
	}
}
