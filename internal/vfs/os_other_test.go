// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package vfs_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func TestOSIsRefusedByName(t *testing.T) {
	_, err := vfs.OS().OpenFile("/store/abort", os.O_RDWR)
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "/store/abort") {
		t.Errorf("%v", err)
	}
}

// Names that package filepath has made are the same files with its separators.
func TestMemTakesNamesOfTheSystem(t *testing.T) {
	m := vfs.NewMem()
	must(t, m.MkdirAll("/store/config"))
	must(t, vfs.WriteFile(m, `/store/config/topics.json`, []byte("{}")))
	if os.PathSeparator == '\\' {
		wantContent(t, m, `\store\config\topics.json`, []byte("{}"))
	}
}
