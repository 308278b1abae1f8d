// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package dbtest starts real database servers for tests, PostgreSQL and MariaDB,
// from the packages of the system (make deps installs them).
//
// There is at most one server of a kind for each test process, started by the
// first test that asks, on a claimed port of 127.0.0.1, in a new directory below the
// one for temporary files. Each call gives a database of its own on it. Servers
// sync nothing to the disk: they are for tests that kill clients, not for those
// that cut the power. Whoever runs as root gets servers that run as nobody.
// Isolation, locks and time-outs are as the packages have them.
//
// A server never outlives its test process, however that ends: a shell beside
// it holds the reading end of a pipe, whose other end only the test process has;
// at its end the shell stops the server and removes the directory.
//
// Where a server is not installed, the test logs DID NOT RUN, and fails if the
// variable CI is set. Of a test that passes go test shows the log with -v only,
// and what it writes to standard error too: make deps, with which make test
// begins, says it to everybody.
package dbtest
