// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"regexp"
	"slices"
	"sort"
	"strings"
)

const variablePrefix = "TWOSTAGE_"

// serviceVariable matches what Kubernetes and Docker links set for a service whose name begins with "twostage".
var serviceVariable = regexp.MustCompile(`^TWOSTAGE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// isService reports whether a variable describes a container's neighbour and not a key.
func isService(name, value string) bool {
	if serviceVariable.MatchString(name) {
		return true
	}
	return strings.HasSuffix(name, "_PORT") && (strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://") ||
		strings.HasPrefix(value, "sctp://"))
}

// environment hands the variables to the server whose key they name and returns those of a server that is not run.
func environment(s Sources, brokers, servers *settings) (foreign []string) {
	vars := slices.Clone(s.Environment)
	sort.Strings(vars)
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, variablePrefix) || slices.Contains(s.OwnVariables, name) || isService(name, value) {
			continue
		}
		source := Source{Origin: FromEnvironment, Name: name}
		plain := plainName(name[len(variablePrefix):])
		var ownNamesrv *key
		if rest, ok := strings.CutPrefix(plain, "namesrv"); ok {
			ownNamesrv = servers.table.plain[rest]
		}
		broker, shared := brokers.table.plain[plain], servers.table.plain[plain]
		var to *settings
		var k *key
		switch {
		case ownNamesrv != nil:
			to, k = servers, ownNamesrv
		case s.Role == RoleNamesrv && shared != nil:
			to, k = servers, shared
		case broker != nil:
			to, k = brokers, broker
		case shared != nil:
			to, k = servers, shared
		default:
			brokers.fail(source, name, "", "%s", unknownVariable(plain, brokers.table, servers.table))
			continue
		}
		if to == brokers && s.Role == RoleNamesrv || to == servers && s.Role == RoleBroker {
			foreign = append(foreign, name)
			continue
		}
		if strings.TrimSpace(value) == "" {
			continue
		}
		to.put(to.spelling(k, plain), value, source)
	}
	return foreign
}

// spelling returns the spelling of k that the variable used, so that errors name it.
func (s *settings) spelling(k *key, plain string) string {
	if other := s.table.other[k.name]; other != "" && plainName(other) == plain {
		return other
	}
	return k.name
}

func unknownVariable(plain string, brokers, servers *table) string {
	near, prefix := brokers.nearest(plain), variablePrefix
	if rest, ok := strings.CutPrefix(plain, "namesrv"); ok {
		if n := servers.nearest(rest); n != "" {
			near, prefix = n, variablePrefix+"NAMESRV_"
		}
	}
	if near == "" {
		return "no key has this name"
	}
	return "no key has this name; did you mean " + prefix + strings.ToUpper(strings.ReplaceAll(near, ".", "_")) + "?"
}
