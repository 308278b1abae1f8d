// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	lookAgain = time.Second // files are looked at no more often
	maxFile   = 1 << 20     // of a certificate chain or a key, in bytes
)

// Files are PEM files. Each may be left out where its owner allows it.
type Files struct {
	Cert     string // a certificate and those that it needs up to a root, in that order
	Key      string // its private key
	Password string // of the key; "" when it is not encrypted
	Trust    string // the certificates that the peer's must come from
}

// reloader keeps a configuration and the files that it was made of.
type reloader struct {
	files Files
	build func(c contents) (*tls.Config, error)
	clock func() time.Time
	log   *slog.Logger

	mu      sync.Mutex // held for bookkeeping only
	config  *tls.Config
	looked  time.Time
	looking bool              // somebody reads the files; what follows is theirs meanwhile
	seen    [sha256.Size]byte // what the files held, or which error reading them gave
}

// contents are those of Files.
type contents struct{ cert, key, trust []byte }

func newReloader(f Files, clock func() time.Time, log *slog.Logger, build func(contents) (*tls.Config, error)) (*reloader, error) {
	if clock == nil {
		clock = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &reloader{files: f, build: build, clock: clock, log: log, looked: clock()}
	c, seen, err := r.read()
	if err != nil {
		return r, err
	}
	r.seen = seen
	r.config, err = build(c)
	return r, err
}

// current is the configuration of now. When the files are to be looked at, one
// caller does, and the others get what there is: a file system that hangs, or a key
// that is slow to decrypt, is in nobody else's way.
func (r *reloader) current() *tls.Config {
	r.mu.Lock()
	now, config := r.clock(), r.config
	if age := now.Sub(r.looked); r.looking || age >= 0 && age < lookAgain || r.files == (Files{}) {
		r.mu.Unlock()
		return config
	}
	r.looked, r.looking = now, true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.config, r.looking = config, false
	}()
	if changed := r.look(); changed != nil {
		config = changed
	}
	return config
}

// look gives the configuration that the files make, nil when they hold what they
// did or what they hold makes none.
func (r *reloader) look() *tls.Config {
	c, seen, err := r.read()
	if seen == r.seen {
		return nil
	}
	r.seen = seen
	var config *tls.Config
	if err == nil {
		config, err = r.build(c)
	}
	if err != nil {
		r.log.Error("TLS files have changed and can't be used: going on with what they held before", "err", err)
		return nil
	}
	r.log.Info("TLS files have changed: new connections use what they hold now", "cert", r.files.Cert, "trust", r.files.Trust)
	return config
}

// read reads the files; seen tells what they hold from others, also when there is an
// error.
func (r *reloader) read() (c contents, seen [sha256.Size]byte, err error) {
	sum := sha256.New()
	for _, f := range []struct {
		path string
		to   *[]byte
	}{{r.files.Cert, &c.cert}, {r.files.Key, &c.key}, {r.files.Trust, &c.trust}} {
		if f.path == "" {
			continue
		}
		if *f.to, err = readFile(f.path); err != nil {
			sum.Write([]byte(err.Error()))
			return c, [sha256.Size]byte(sum.Sum(nil)), err
		}
		sum.Write(binary.AppendUvarint(nil, uint64(len(*f.to))))
		sum.Write(*f.to)
	}
	return c, [sha256.Size]byte(sum.Sum(nil)), nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: more than %d bytes", path, maxFile)
	}
	return data, nil
}
