// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/secure"
)

// connections is the metrics of all ports of the process, by server: broker,
// namesrv, http.
type connections struct {
	mu      sync.Mutex
	servers []portStats
	web     []webPort
	refused func() (topics, groups int64) // creations, of a broker
}

type portStats struct {
	name  string
	stats func() remoting.Stats
}

// webPort is a listener of HTTP.
type webPort struct {
	*bounded
	tls *secure.Listener
}

func (c *connections) server(name string, stats func() remoting.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = append(c.servers, portStats{name, stats})
}

func (c *connections) creations(refused func() (topics, groups int64)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = refused
}

func (c *connections) http(b *bounded, l *secure.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.web = append(c.web, webPort{b, l})
}

var (
	descConns    = prometheus.NewDesc("twostage_connections", "Open connections.", []string{"server"}, nil)
	descSecured  = prometheus.NewDesc("twostage_tls_connections_total", "Connections that speak TLS since the start.", []string{"server"}, nil)
	descRejected = prometheus.NewDesc("twostage_refused_connections_total",
		"Connections closed since the start because of what they are: too many, plaintext where TLS is enforced, TLS where it is disabled, a handshake that failed or was one too many, no frames.",
		[]string{"server", "because"}, nil)
	descCreations = prometheus.NewDesc("twostage_refused_creations_total",
		"Topics and groups that were not made since the start because their client's address had made too many.", []string{"of"}, nil)
)

// Describe is part of prometheus.Collector.
func (c *connections) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descConns, descSecured, descRejected, descCreations} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *connections) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for _, s := range c.servers {
		st := s.stats()
		ch <- prometheus.MustNewConstMetric(descConns, prometheus.GaugeValue, float64(st.Conns), s.name)
		total(descSecured, st.TLSConns, s.name)
		total(descRejected, st.Refused, s.name, "limit")
		total(descRejected, st.PlaintextClosed, s.name, "plaintext")
		total(descRejected, st.TLSRefused, s.name, "tls_disabled")
		total(descRejected, st.TLSFailed, s.name, "handshake")
		total(descRejected, st.TLSBusy, s.name, "handshakes_busy")
		total(descRejected, st.BadFrames, s.name, "bad_frame")
	}
	if c.refused != nil {
		topics, groups := c.refused()
		total(descCreations, topics, "topic")
		total(descCreations, groups, "group")
	}
	var web secure.Stats
	open, refused := 0, int64(0)
	for _, p := range c.web {
		st := p.tls.Stats()
		web.Secured += st.Secured
		web.Failed += st.Failed
		web.PlaintextClosed += st.PlaintextClosed
		open, refused = open+p.conns(), refused+p.refused.Load()
	}
	ch <- prometheus.MustNewConstMetric(descConns, prometheus.GaugeValue, float64(open), "http")
	total(descRejected, refused, "http", "limit")
	total(descSecured, web.Secured, "http")
	total(descRejected, web.PlaintextClosed, "http", "plaintext")
	total(descRejected, web.Failed, "http", "handshake")
}
