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

	mu     sync.Mutex // held while files are read
	config *tls.Config
	looked time.Time
	seen   [sha256.Size]byte // what the files held, or which error reading them gave
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
	var err error
	r.config, r.seen, err = r.load()
	return r, err
}

// current is the configuration of now.
func (r *reloader) current() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock()
	if age := now.Sub(r.looked); age >= 0 && age < lookAgain || r.files == (Files{}) {
		return r.config
	}
	r.looked = now
	before := r.seen
	config, seen, err := r.load()
	if seen == before {
		return r.config
	}
	r.seen = seen
	if err != nil {
		r.log.Error("TLS files have changed and can't be used: going on with what they held before", "err", err)
		return r.config
	}
	r.config = config
	r.log.Info("TLS files have changed: new connections use what they hold now", "cert", r.files.Cert, "trust", r.files.Trust)
	return r.config
}

// load reads the files and makes a configuration of them; seen tells them from
// others, also when there is an error.
func (r *reloader) load() (config *tls.Config, seen [sha256.Size]byte, err error) {
	var c contents
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
			return nil, [sha256.Size]byte(sum.Sum(nil)), err
		}
		sum.Write(binary.AppendUvarint(nil, uint64(len(*f.to))))
		sum.Write(*f.to)
	}
	config, err = r.build(c)
	return config, [sha256.Size]byte(sum.Sum(nil)), err
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
