// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/twostage/twostage/internal/access"
)

// guards are those of the servers of the process, nil where one does not run.
type guards struct{ namesrv, broker *access.Guard }

// mode says for the ready line who may send protected requests.
func (g guards) mode() string {
	switch {
	case g.namesrv == nil && g.broker == nil:
		return ""
	case g.namesrv == nil:
		return g.broker.Mode()
	case g.broker == nil || g.broker.Mode() == g.namesrv.Mode():
		return g.namesrv.Mode()
	}
	return "namesrv:" + g.namesrv.Mode() + ",broker:" + g.broker.Mode()
}

// warn says when one server of the process asks for signatures and the other does not.
func (g guards) warn(log *slog.Logger) {
	if g.namesrv == nil || g.broker == nil || g.namesrv.Enabled() == g.broker.Enabled() {
		return
	}
	if g.broker.Enabled() {
		log.Warn("the broker has access control and the name server of this process does not: set the same keys with --namesrv-set or in --namesrv-config")
		return
	}
	log.Warn("the name server has access control and the broker of this process does not: set the same keys with --set or in -c")
}

var descRefusedRequests = prometheus.NewDesc("twostage_refused_requests_total",
	"Requests refused since the start because of who sent them or from where, by why.", []string{"server", "reason"}, nil)

// Describe is part of prometheus.Collector.
func (g *guards) Describe(ch chan<- *prometheus.Desc) { ch <- descRefusedRequests }

// Collect is part of prometheus.Collector.
func (g *guards) Collect(ch chan<- prometheus.Metric) {
	for server, guard := range map[string]*access.Guard{"namesrv": g.namesrv, "broker": g.broker} {
		if guard == nil {
			continue
		}
		for reason, n := range guard.Refused() {
			ch <- prometheus.MustNewConstMetric(descRefusedRequests, prometheus.CounterValue, float64(n), server, reason)
		}
	}
}
