// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/url"
	"strings"
)

// tracesPath is where OTLP's collectors take spans, unless the URL says more.
const tracesPath = "/v1/traces"

// collector reads the URL of a collector, "" where there is none.
func (s *settings) collector(key string) string {
	text := s.text(key)
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		s.reject(key, "accepted is the URL of a collector, http://HOST:PORT or https://HOST:PORT, with a path where it is not "+tracesPath)
		return ""
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	return u.String()
}

// headers reads NAME=VALUE,NAME=VALUE as OTLP writes them, with percent escapes in
// values.
func (s *settings) headers(key string) map[string]string {
	var m map[string]string
	for _, part := range strings.Split(s.text(key), ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || name == "" || strings.ContainsAny(name, " \t\r\n:") || strings.ContainsAny(value, "\r\n\x00") {
			s.reject(key, "accepted are headers of requests, NAME=VALUE,NAME=VALUE")
			return nil
		}
		if m == nil {
			m = map[string]string{}
		}
		m[name] = value
	}
	return m
}
