// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Role says which servers a process runs.
type Role uint8

// The roles.
const (
	RoleAll Role = iota
	RoleNamesrv
	RoleBroker
)

// ParseRole reads all, namesrv or broker.
func ParseRole(s string) (Role, error) {
	switch s {
	case "all":
		return RoleAll, nil
	case "namesrv":
		return RoleNamesrv, nil
	case "broker":
		return RoleBroker, nil
	}
	return 0, fmt.Errorf("role %q: accepted are all, namesrv, broker", s)
}

// File is the text of a configuration file. The zero File is none.
type File struct {
	Name string
	Text []byte
}

// ReadFile reads a configuration file of at most MaxFileSize bytes.
func ReadFile(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return File{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return File{}, fmt.Errorf("configuration %s: %w", name, err)
	}
	if len(text) > MaxFileSize {
		return File{}, fmt.Errorf("configuration %s: over %d bytes", name, MaxFileSize)
	}
	return File{Name: name, Text: text}, nil
}

// Sources is everything that a configuration is made from.
type Sources struct {
	Role        Role
	DataDir     string // --data; "" is twostage-data
	HostName    string // os.Hostname; "" when that failed
	BrokerFile  File   // -c
	NamesrvFile File   // --namesrv-config

	// Environment is as os.Environ; only names that begin with TWOSTAGE_ matter. OwnVariables are those that the
	// caller acts on itself (TWOSTAGE_DATA, say): Load skips them.
	Environment  []string
	OwnVariables []string

	// Flags and NamesrvFlags are values given on the command line, by RocketMQ's name of the key.
	Flags, NamesrvFlags map[string]string

	changes, namesrvChanges map[string]string // see Live
	tlsFiles                map[string]File   // that tls.config.file names, as read at the start
}

// Config is a complete, checked configuration. With RoleNamesrv, Broker holds defaults only, and the other way round.
type Config struct {
	Broker  Broker
	Namesrv Namesrv
	HTTP    HTTP

	BrokerValues, NamesrvValues Values

	// Foreign are variables with keys of the server that this role does not run, sorted; they had no effect.
	Foreign []string

	sources Sources // it was loaded from
}

// HTTP is the listener of health, readiness and metrics; one a process. Its keys belong to the broker file, with
// RoleNamesrv to the name server file.
type HTTP struct {
	BindAddress string
	Port        int  // 0 picks a free one
	Explicit    bool // the port was set: a taken one is an error, a taken default port only a warning
}

// Load checks and merges the sources. The error joins an *Error for each thing wrong, with files and lines.
func Load(s Sources) (*Config, error) {
	if s.DataDir == "" {
		s.DataDir = "twostage-data"
	}
	if s.tlsFiles == nil {
		s.tlsFiles = map[string]File{}
	}
	c := &Config{sources: s}
	brokers := newSettings(brokerTable())
	servers := newSettings(namesrvTable())
	brokers.peer, servers.peer = servers.table, brokers.table
	if s.Role == RoleNamesrv {
		brokers.absent(s.BrokerFile, s.Flags)
	} else {
		brokers.file(s.BrokerFile)
	}
	if s.Role == RoleBroker {
		servers.absent(s.NamesrvFile, s.NamesrvFlags)
	} else {
		servers.file(s.NamesrvFile)
	}
	c.Foreign = environment(s, brokers, servers)
	if s.Role != RoleNamesrv {
		brokers.putAll(FromFlag, s.Flags)
		brokers.putAll(FromChange, s.changes)
	}
	if s.Role != RoleBroker {
		servers.putAll(FromFlag, s.NamesrvFlags)
		servers.putAll(FromChange, s.namesrvChanges)
	}
	brokers.tlsFile(s.tlsFiles)
	servers.tlsFile(s.tlsFiles)
	brokers.verify()
	servers.verify()

	host := s.HostName
	if host == "" {
		host = "DEFAULT_BROKER"
	}
	brokers.compute(keyBrokerName, host)
	root := brokers.compute(keyRootDir, filepath.Join(s.DataDir, "store"))
	brokers.compute(keyCommitLog, filepath.Join(root, "commitlog"))
	for _, place := range storePlaces {
		brokers.checkPlace(place.name, filepath.Join(root, place.below))
	}
	if port := brokers.int(keyListenPort); port == 0 || port == maxPort {
		brokers.compute(keyHAListenPort, "0")
	} else {
		brokers.compute(keyHAListenPort, strconv.Itoa(port+1))
	}
	servers.compute(keyKVConfig, filepath.Join(s.DataDir, "namesrv", "kvConfig.json"))
	for _, of := range []*settings{brokers, servers} {
		home := of.text(keyHome)
		if home == "" {
			home = s.DataDir
		}
		of.compute(keyACLFile, filepath.Join(home, "conf", "plain_acl.yml"))
	}

	c.Broker = brokers.broker()
	c.Namesrv = servers.namesrv()
	if s.Role == RoleNamesrv {
		c.HTTP = servers.http(c.Namesrv.BindAddress)
	} else {
		c.HTTP = brokers.http(c.Broker.Network.BindAddress)
		if s.Role == RoleAll {
			servers.refuseHTTP()
			brokers.tlsTo(c.Broker, c.Namesrv)
		}
	}
	if err := errors.Join(inOrder(append(brokers.errs, servers.errs...))...); err != nil {
		return nil, err
	}
	c.BrokerValues, c.NamesrvValues = brokers.result(), servers.result()
	return c, nil
}

// inOrder sorts errors by source and line, so that they read like the file.
func inOrder(errs []error) []error {
	slices.SortStableFunc(errs, func(a, b error) int {
		var x, y *Error
		if !errors.As(a, &x) || !errors.As(b, &y) {
			return 0
		}
		return cmp.Or(cmp.Compare(x.Source.Origin, y.Source.Origin), cmp.Compare(x.Source.Name, y.Source.Name),
			cmp.Compare(x.Source.Line, y.Source.Line))
	})
	return errs
}

func brokerTable() *table {
	places := make([]refusal, len(storePlaces))
	for i, p := range storePlaces {
		places[i] = refusal{name: p.name, kind: kindText, why: notRead}
	}
	return newTable("broker", usedServer("10911"), usedBroker(),
		refused(refusedBroker, refusedServer, places), pending(pendingBroker), ignored(ignoredBroker, ignoredServer))
}

func namesrvTable() *table {
	return newTable("name server", usedServer("9876"), usedNamesrv(),
		refused(refusedNamesrv, refusedServer), pending(pendingNamesrv), ignored(ignoredNamesrv, ignoredServer))
}
