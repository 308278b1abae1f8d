// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lint

import "strings"

// row is what the layout says of one package.
type row struct {
	// path is below the module's; "x/*" is every child of x without its own row.
	path string

	// layer: imports go to lower ones.
	layer int

	// also are packages of the same layer that it may import, a path or "x/*", and
	// exceptions from never.
	also []string

	// never are packages of lower layers that it may not import, with their
	// children.
	never []string

	// pure: no I/O, no clock, no goroutines.
	pure bool

	// goroutines says why it starts its own, if it does.
	goroutines string

	// thirdParty, when not nil, are the only modules of others that it imports.
	thirdParty []string

	// forTests: only tests and packages for tests import it. No layer.
	forTests bool
}

// storeNever: the store knows bytes on disk, and nothing of the network.
var storeNever = []string{"internal/wire", "internal/remoting", "internal/replica", "internal/broker"}

var nothing = []string{}

// table is the layout, lowest layer first.
var table = []row{
	{path: "internal/lifecycle", layer: 0, goroutines: "it is the place for them"},
	{path: "internal/config", layer: 0},
	{path: "internal/vfs", layer: 0},
	{path: "internal/commit", layer: 0, never: []string{"internal"}, pure: true},
	{path: "internal/promtext", layer: 0, never: []string{"internal"}, pure: true},
	{path: "internal/pq", layer: 0, never: []string{"internal"}, pure: true},
	{path: "internal/lint", layer: 0, thirdParty: nothing},
	{path: "internal/dbtest", forTests: true},
	{path: "internal/proctest", forTests: true, goroutines: "waits for the process it started"},

	{path: "message", layer: 1, never: []string{"internal"}, pure: true},
	{path: "internal/wire", layer: 1, never: []string{"internal"}, pure: true},
	{path: "internal/wire/header", layer: 1, also: []string{"internal/wire"}, never: []string{"internal/vfs", "internal/config", "internal/lifecycle"}, pure: true},
	{path: "internal/wire/fastjson", layer: 1, never: []string{"internal"}, pure: true},
	{path: "internal/wire/body", layer: 1, also: []string{"internal/wire/fastjson"}, never: []string{"internal/vfs", "internal/config", "internal/lifecycle"}, pure: true},
	{path: "internal/wire/wiretest", forTests: true},
	{path: "internal/filter", layer: 1, never: []string{"internal"}, pure: true},
	{path: "internal/allocate", layer: 1, never: []string{"internal", "message"}, pure: true},
	{path: "internal/skew", layer: 1, never: []string{"internal"}, pure: true},
	{path: "internal/secure", layer: 1, never: []string{"internal", "message"}, thirdParty: nothing},
	{path: "internal/secure/securetest", forTests: true},
	{path: "internal/auth", layer: 1, never: []string{"internal"}, pure: true},

	{path: "internal/trace", layer: 2, never: []string{"internal"}},
	{path: "internal/remoting", layer: 2, goroutines: "a reader a connection, short-lived writers, lane workers; it waits for all of them in Close"},
	{
		path: "internal/store", layer: 2, also: []string{"internal/store/*", "internal/store/segment", "internal/store/consumequeue", "internal/store/retention"}, never: storeNever,
		goroutines: "flush, views, dispatch and retention, from Open to Close, which ends them stage by stage and waits",
	},
	{path: "internal/store/segment", layer: 2, never: storeNever},
	{path: "internal/store/storetest", forTests: true},
	{path: "internal/store/consumequeue", layer: 2, also: []string{"internal/store/segment"}, never: storeNever, goroutines: "a few workers inside one call, which waits for them"},
	{path: "internal/store/retention", layer: 2, never: []string{"internal", "message"}, pure: true},
	{path: "internal/store/*", layer: 2, also: []string{"internal/store/segment"}, never: storeNever},

	{path: "internal/rpc", layer: 3},
	{path: "internal/access", layer: 3, never: []string{"internal/store"}},
	{path: "internal/route", layer: 3},
	{path: "internal/session", layer: 3},
	{path: "internal/replica", layer: 3},

	{path: "internal/namesrv", layer: 4},
	{path: "internal/controller", layer: 4},
	{path: "internal/broker/brokertest", forTests: true},
	{path: "internal/broker/*", layer: 4},
	{path: "internal/broker/txn", layer: 4, also: []string{"internal/broker/txn/*", "internal/broker/txn/pending"}},
	{path: "internal/broker/txn/*", layer: 4},
	{path: "internal/broker/txn/pending", layer: 4, also: []string{"internal/pq"}, never: []string{"internal", "message"}, pure: true},
	{
		path: "internal/broker/handler", layer: 4, also: []string{"internal/broker/*", "internal/broker/txn"},
		goroutines: "Relay.Status asks all clients of a group at the same time, and waits for them",
	},
	{
		path: "internal/broker", layer: 4, also: []string{"internal/broker/*", "internal/broker/txn", "internal/broker/handler"},
		goroutines: "one request to each name server side by side, inside one call, which waits for them",
	},

	{path: "internal/admin", layer: 5, goroutines: "Members asks the clients of a group at the same time, and waits for them"},
	{path: "internal/proxy", layer: 5},
	{path: "internal/fsck", layer: 5},
	{path: "internal/bench", layer: 5, also: []string{"client"}, goroutines: "load generators, waited for before a run returns"},
	{
		path: "client", layer: 5, never: []string{"internal/store", "internal/broker", "internal/namesrv", "internal/controller", "internal/replica", "internal/session"},
		thirdParty: []string{"github.com/klauspost/compress", "github.com/pierrec/lz4/v4"},
		goroutines: "the parts of a lifecycle.Group; pops, pulls, handlers, callbacks and further attempts of SendAsync; heartbeats that Start waits for; Close waits for all of them",
	},

	{path: "internal/sqltxtest", forTests: true, goroutines: "servers, until the test ends, which waits"},
	{path: "sqltx", layer: 6, never: []string{"internal"}, thirdParty: nothing},
	{path: "internal/node", layer: 6},
	{path: "internal/dashboard", layer: 6},
	{path: "internal/cli", layer: 6, also: []string{"internal/node", "internal/dashboard"}},
	{path: "internal/cli/output", layer: 5, never: []string{"internal", "message"}, pure: true},
	{path: "mqtest", layer: 6, goroutines: "brokers, waited for when they end, and links between them and clients, waited for when the cluster is closed"},

	{path: "cmd/*", layer: 7},
	{path: "examples/*", layer: 7},
	{path: "examples/shop/event", layer: 7, never: []string{"internal", "message", "client", "sqltx"}, pure: true},
	{path: "examples/shop/service", layer: 7, never: []string{"internal"}, goroutines: "what runs beside requests, which Serve waits for: it is to be copied, and internal packages can't be"},
	{path: "examples/shop/books", layer: 7, also: []string{"examples/shop/*"}},
	{path: "examples/shop/*", layer: 7, also: []string{"examples/shop/event", "examples/shop/service"}},
	{
		path: "examples/shop", layer: 7, also: []string{"examples/shop/*", "examples/shop/event", "examples/shop/service", "examples/shop/books"},
		goroutines: "buyers and chaos, waited for before a run returns; the end of each child process; a child's standard input, to its end",
	},
	{path: "test/*", forTests: true},
	{path: "test/bank/*", forTests: true, goroutines: "connections of a producer process, until it ends"},
}

// rowOf returns the row of a package, nil when it has none. A row for the very
// path wins over one for the children of its parent.
func rowOf(path string) *row {
	parent := ""
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		parent = path[:i]
	}
	var found *row
	for i := range table {
		switch table[i].path {
		case path:
			return &table[i]
		case parent + "/*":
			found = &table[i]
		}
	}
	return found
}

// impureImports are packages that do I/O or reach what is outside of the
// process, each with its children but for net/netip.
var impureImports = []string{
	"net", "os", "syscall", "log", "plugin", "runtime/debug", "database/sql", "io/ioutil", "golang.org/x/sys", "golang.org/x/net",
}

// clockFunctions are the names in package time that read or wait for a clock.
var clockFunctions = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
	"Tick": true, "NewTimer": true, "NewTicker": true,
}

// emptyWords say nothing about what a thing is.
var emptyWords = map[string]bool{
	"manager": true, "impl": true, "default": true, "abstract": true, "base": true,
	"util": true, "utils": true, "common": true, "helper": true, "helpers": true,
}
