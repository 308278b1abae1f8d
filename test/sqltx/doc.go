// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package sqltx is the crash matrix of the public package sqltx, on SQLite and on
// real servers of PostgreSQL and MariaDB (internal/dbtest), with the real broker.
//
// TestMatrix is a table of tests and points; each point on each database is a
// cell, and all run side by side. A cell has a topic, a producer group, tables and
// a child process of its own. The child calls sqltx.Run or Once, or forwards an
// outbox, and dies by SIGKILL, waits, or loses its connection to the database at
// one point of it. The points are seen from outside: by a driver that stands
// before the database's (the marker's INSERT, COMMIT), by the connections of
// client.WithDialer (the half message's frame, the frame that ends it), and in the
// function itself. The test process is another member of the group, which the
// broker asks. A second broker discards what is undecided after some seconds, for
// the cells of what is discarded and resumed.
//
// What holds in every cell: the message is in its topic once, or nowhere, and the
// same is true of what the function wrote; the account has what both say. Where
// nobody can know, nothing is decided.
//
// The other tests hold the SQL of each dialect at each level of isolation.
//
// A child ends when the end of its standard input says that the test is gone.
package sqltx
