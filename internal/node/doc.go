// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package node runs a name server, a broker and their HTTP listeners in one
// process: it starts them in order, says when all of them serve, and stops them
// in reverse.
//
//	HTTP listeners -> name server -> broker -> ready line ... stop: the other way round
//
// HTTP comes first, so that /healthz answers while a long recovery runs. The
// broker stops first: it takes itself out of the routes while the name server
// of this process still listens.
//
// # The ready line
//
// One line on Options.Stdout, when everything serves:
//
//	ready namesrv=HOST:PORT broker=HOST:PORT http=HOST:PORT data=DIR
//
// The fields stay in this order. A field is left out when this process has no
// such listener. Addresses can be dialled on this machine: where a listener is
// bound to every address, HOST is 127.0.0.1. DIR is the rest of the line and
// may hold blanks.
//
// A service manager that gave a socket (systemd's NOTIFY_SOCKET) is told READY=1
// after the line, and STOPPING=1 before the first part stops.
//
// # HTTP
//
//	/healthz       200 as long as the process serves
//	/readyz        200 when the ready line is out and the broker is ready, else 503 and why;
//	               ?verbose: a line for each check
//	/metrics       Prometheus text; ?names=exporter,units: other names besides
//	/debug/pprof/  profiles, over the loopback only
//
// With a broker also the transaction inspector, /api/transactions: JSON, for
// programs of this machine (docs/inspector.md).
//
// With metricsExporterType=PROM the metrics are also served on
// metricsPromExporterPort (5557), as by RocketMQ 5.
//
// # TLS
//
// Each server has the TLS of its own configuration, the HTTP listeners that of the
// broker, or of the name server where there is none; package secure makes it.
// connections.go counts what all ports refused.
//
// # What it refuses
//
// A port of a server that is taken is an error that names its key. The default
// HTTP port and the metrics port are only worth a warning: messages flow without
// them, and several servers on one machine are common. An HTTP port that was
// asked for is an error again. This package reads no flags, files or variables
// and handles no signals: the end of the context is what stops it.
package node
