// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/twostage/twostage/internal/broker"
	"github.com/twostage/twostage/internal/config"
)

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// ownMetrics registers what is of the process as a whole, with the labels of its
// broker, so that it is found by them. A process with a name server only has none.
func (n *node) ownMetrics() prometheus.Registerer {
	if n.Role == config.RoleNamesrv {
		return n.metrics
	}
	id := n.Config.Broker.Identity
	return prometheus.WrapRegistererWith(prometheus.Labels{"cluster": id.Cluster, "node_type": "broker", "node_id": id.Name}, n.metrics)
}

// textFormat is the type of what /metrics answers.
const textFormat = "text/plain; version=0.0.4; charset=utf-8"

// maxScrapes bounds the answers of /metrics under way: each is tens of megabytes
// where there are many topics, until its peer has read it.
const maxScrapes = 4

// metricsHandler answers /metrics in the text format: what is registered, and then
// what the broker writes itself. names=exporter,units asks for other names besides.
func (n *node) metricsHandler() http.Handler {
	registered := promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{DisableCompression: true})
	underWay := make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case underWay <- struct{}{}:
			defer func() { <-underWay }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("%d scrapes are under way, which is the limit: scrape less often, or read the answers faster", maxScrapes), http.StatusServiceUnavailable)
			return
		}
		names, err := parseNames(r.URL.Query()["names"])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		plain := r.Clone(r.Context())
		plain.Header = http.Header{} // the rest has no other format
		head := &answer{header: http.Header{}, status: http.StatusOK}
		registered.ServeHTTP(head, plain)
		if head.status != http.StatusOK {
			http.Error(w, head.body.String(), head.status)
			return
		}
		spare := n.spare.Swap(nil)
		if spare == nil {
			spare = new([]byte)
		}
		text := append((*spare)[:0], head.body.Bytes()...)
		if b := n.serving.Load(); b != nil {
			text = b.AppendMetrics(text, names)
		}
		defer func() {
			*spare = text
			n.spare.Store(spare)
		}()
		w.Header().Set("Content-Type", textFormat)
		if !takesGzip(r) {
			_, _ = w.Write(text)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // an error is of the level
		_, _ = z.Write(text)
		_ = z.Close()
	})
}

// answer is what a handler answers, kept.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

var _ io.Writer = (*answer)(nil)

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// parseNames reads the parameter names, given once or several times.
func parseNames(given []string) (n broker.Names, err error) {
	for _, list := range given {
		for name := range strings.SplitSeq(list, ",") {
			switch name {
			case "exporter":
				n.Exporter = true
			case "units":
				n.Units = true
			case "":
			default:
				return n, fmt.Errorf("names=%.50q: accepted are exporter (adds the names of rocketmq-exporter) and units (ends names with their unit), joined by commas", name)
			}
		}
	}
	return n, nil
}

func takesGzip(r *http.Request) bool {
	for _, h := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(h, ",") {
			name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
			if strings.TrimSpace(name) == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
				return true
			}
		}
	}
	return false
}
