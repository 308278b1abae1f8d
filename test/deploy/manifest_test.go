// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/test/rig"
)

// object has the fields of the kinds that deploy/kubernetes has. Decoding refuses
// any other field, so a misspelt one fails the test.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   metadata
	Spec       spec
}

type metadata struct {
	Name                string
	Labels, Annotations map[string]string
}

type spec struct {
	// Service
	ClusterIP                string `yaml:"clusterIP"`
	PublishNotReadyAddresses bool   `yaml:"publishNotReadyAddresses"`
	Ports                    []struct {
		Name       string
		Port       int
		TargetPort string `yaml:"targetPort"`
	}

	// PodDisruptionBudget
	MaxUnavailable int `yaml:"maxUnavailable"`

	// StatefulSet
	ServiceName          string `yaml:"serviceName"`
	Replicas             int
	PodManagementPolicy  string                `yaml:"podManagementPolicy"`
	MinReadySeconds      int                   `yaml:"minReadySeconds"`
	UpdateStrategy       struct{ Type string } `yaml:"updateStrategy"`
	VolumeClaimTemplates []struct {
		Metadata metadata
		Spec     struct {
			AccessModes []string `yaml:"accessModes"`
			Resources   resources
		}
	} `yaml:"volumeClaimTemplates"`
	Template struct {
		Metadata metadata
		Spec     pod
	}

	Selector yaml.Node // labels in a Service, matchLabels elsewhere
}

type resources struct{ Requests, Limits map[string]string }

type pod struct {
	AutomountServiceAccountToken  bool           `yaml:"automountServiceAccountToken"`
	EnableServiceLinks            bool           `yaml:"enableServiceLinks"`
	TerminationGracePeriodSeconds int            `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               map[string]any `yaml:"securityContext"`
	Affinity                      map[string]any
	Containers                    []container
}

type container struct {
	Name, Image     string
	Args            []string
	Env             []variable
	Ports           []port
	StartupProbe    probe `yaml:"startupProbe"`
	LivenessProbe   probe `yaml:"livenessProbe"`
	ReadinessProbe  probe `yaml:"readinessProbe"`
	Resources       resources
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type variable struct {
	Name, Value string
	ValueFrom   *struct {
		FieldRef struct {
			FieldPath string `yaml:"fieldPath"`
		} `yaml:"fieldRef"`
		SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
	} `yaml:"valueFrom"`
}

type port struct {
	Name          string
	ContainerPort int `yaml:"containerPort"`
}

type probe struct {
	HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
	PeriodSeconds    int                         `yaml:"periodSeconds"`
	TimeoutSeconds   int                         `yaml:"timeoutSeconds"`
	FailureThreshold int                         `yaml:"failureThreshold"`
}

// decode reads all documents of a file strictly.
func decode[T any](t *testing.T, path string) []T {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(text(t, path))))
	d.KnownFields(true)
	var list []T
	for {
		var v T
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		list = append(list, v)
	}
}

// labels of a selector.
func labels(t *testing.T, kind string, n *yaml.Node) map[string]string {
	t.Helper()
	var plain map[string]string
	var match struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	var err error
	if kind == "Service" {
		err = n.Decode(&plain)
	} else if err = n.Decode(&match); err == nil {
		plain = match.MatchLabels
	}
	if err != nil || len(plain) == 0 {
		t.Fatalf("selector of a %s: %v, %v", kind, plain, err)
	}
	return plain
}

var versions = map[string]string{"Service": "v1", "PodDisruptionBudget": "policy/v1", "StatefulSet": "apps/v1"}

// Each file has a headless service, a disruption budget and the servers, which
// fit each other; the servers' command lines and environments are good, and what
// the probes ask for is answered.
func TestKubernetes(t *testing.T) {
	s := proctest.Start(t, all(t.TempDir())...)
	for _, name := range []string{"namesrv", "broker"} {
		t.Run(name, func(t *testing.T) {
			kinds := map[string]object{}
			for _, o := range decode[object](t, "deploy/kubernetes/"+name+".yaml") {
				if o.APIVersion != versions[o.Kind] || o.Metadata.Name != "twostage-"+name {
					t.Errorf("%s %s of %s", o.Kind, o.Metadata.Name, o.APIVersion)
				}
				kinds[o.Kind] = o
			}
			set, service, budget := kinds["StatefulSet"].Spec, kinds["Service"].Spec, kinds["PodDisruptionBudget"].Spec
			pods := set.Template.Metadata.Labels
			for kind := range versions {
				o := kinds[kind]
				if have := labels(t, kind, &o.Spec.Selector); !maps.Equal(have, pods) {
					t.Errorf("%s selects %v, the pods have %v", kind, have, pods)
				}
			}
			if service.ClusterIP != "None" || !service.PublishNotReadyAddresses || set.ServiceName != "twostage-"+name {
				t.Errorf("the service is not the headless one of the set: %+v", service)
			}
			if budget.MaxUnavailable != 1 || set.Replicas < 2 {
				t.Errorf("%d replicas, of which %d may be away", set.Replicas, budget.MaxUnavailable)
			}
			checkPod(t, s, set)
			c := set.Template.Spec.Containers[0]
			scrape := set.Template.Metadata.Annotations
			if status, _, err := rig.Get(s.HTTP, scrape["prometheus.io/path"]); status != 200 || err != nil || !slices.Contains(c.Ports, port{"http", atoi(t, scrape["prometheus.io/port"])}) {
				t.Errorf("Prometheus is sent to %v: %d %v", scrape, status, err)
			}
			for _, p := range service.Ports {
				if !slices.Contains(c.Ports, port{p.TargetPort, p.Port}) {
					t.Errorf("the service's port %+v is none of the container", p)
				}
			}
		})
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func checkPod(t *testing.T, s *proctest.Server, set spec) {
	t.Helper()
	p := set.Template.Spec
	if len(p.Containers) != 1 {
		t.Fatalf("%d containers", len(p.Containers))
	}
	c := p.Containers[0]
	if p.TerminationGracePeriodSeconds < 30 || p.EnableServiceLinks || p.AutomountServiceAccountToken || p.SecurityContext["runAsNonRoot"] != true {
		t.Errorf("pod: %+v", p)
	}
	sc := c.SecurityContext
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation || !sc.ReadOnlyRootFilesystem || !slices.Equal(sc.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("container: %+v", sc)
	}
	if c.Resources.Requests["cpu"] == "" || c.Resources.Requests["memory"] == "" || c.Resources.Limits["memory"] == "" {
		t.Errorf("resources: %+v", c.Resources)
	}
	env := podEnvironment(t, c.Env)
	acceptable(t, c.Name, env, c.Args)
	if len(c.VolumeMounts) != 1 || len(set.VolumeClaimTemplates) != 1 || c.VolumeMounts[0].Name != set.VolumeClaimTemplates[0].Metadata.Name ||
		!slices.Contains(c.Args, "--data="+c.VolumeMounts[0].MountPath) {
		t.Errorf("mounts %+v, claims %+v, arguments %q", c.VolumeMounts, set.VolumeClaimTemplates, c.Args)
	}
	for i, p := range []probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		want := []string{"/healthz", "/healthz", "/readyz"}[i] // a long recovery must not get the process killed
		if p.HTTPGet.Path != want || p.HTTPGet.Port != "http" || p.PeriodSeconds == 0 || p.FailureThreshold == 0 {
			t.Errorf("probe %d: %+v", i, p)
		}
		if status, _, err := rig.Get(s.HTTP, p.HTTPGet.Path); status != 200 || err != nil {
			t.Errorf("%s: %d %v", p.HTTPGet.Path, status, err)
		}
	}
}

// What kubectl makes of the directory.
func TestKustomize(t *testing.T) {
	kubectl, missing := didNotRun(t, "kubectl")
	if missing {
		return
	}
	out, errs, code := runIn(t, nil, kubectl, "kustomize", root+"deploy/kubernetes")
	if code != 0 || strings.Count(out, "kind: StatefulSet\n") != 2 || !strings.Contains(out, "image: twostage:latest\n") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// composition has the fields that deploy/compose has.
type composition struct {
	Name     string
	Access   map[string]string `yaml:"x-access"`
	Server   yaml.Node         `yaml:"x-server"`
	Services map[string]struct {
		Image             string
		Build             struct{ Context, Dockerfile string }
		Restart           string
		StopGracePeriod   string         `yaml:"stop_grace_period"`
		ReadOnly          bool           `yaml:"read_only"`
		CapDrop           []string       `yaml:"cap_drop"`
		SecurityOpt       []string       `yaml:"security_opt"`
		Ulimits           map[string]int `yaml:"ulimits"`
		Networks, Command []string
		Healthcheck       map[string]any    `yaml:"healthcheck"`
		Environment       map[string]string `yaml:"environment"`
		Volumes, Ports    []string
		DependsOn         map[string]map[string]any `yaml:"depends_on"`
	}
	Networks, Volumes map[string]map[string]any
}

// Two name servers and two brokers, whose command lines are good, with a volume
// and ports of their own.
func TestCompose(t *testing.T) {
	c := decode[composition](t, "deploy/compose/compose.yaml")[0]
	roles, used, published := map[string]int{}, map[string]string{}, map[string]string{}
	for name, s := range c.Services {
		env := composeEnvironment(t, s.Environment)
		acceptable(t, name, env, s.Command)
		role := s.Command[slices.Index(s.Command, "--role")+1]
		roles[role]++
		if role == "broker" {
			for ns := range s.DependsOn {
				if !strings.Contains(s.Command[len(s.Command)-1], ns+":9876") {
					t.Errorf("%s does not register with %s: %q", name, ns, s.Command)
				}
			}
			if port := s.Environment["TWOSTAGE_LISTEN_PORT"]; !slices.Contains(s.Ports, port+":"+port) || s.Environment["TWOSTAGE_BROKER_NAME"] != name {
				t.Errorf("%s: port %s of %q, %q", name, port, s.Ports, s.Environment)
			}
		}
		if len(s.Volumes) != 1 || s.Volumes[0] != name+":/data" || c.Volumes[name] == nil || !s.ReadOnly || s.Build.Context != "../.." {
			t.Errorf("%s: %+v", name, s)
		}
		for _, p := range s.Ports {
			i := strings.LastIndexByte(p, ':')
			host := p[:i][strings.LastIndexByte(p[:i], ':')+1:]
			if other := published[host]; other != "" {
				t.Errorf("port %s is %s's and %s's", host, name, other)
			}
			published[host] = name
		}
		if s.Restart != "unless-stopped" { // also after the machine's restart
			t.Errorf("%s: restart: %s", name, s.Restart)
		}
		if have := fmt.Sprint(s.Healthcheck["test"]); have != "[CMD /twostage health]" {
			t.Errorf("%s: health check %s", name, have)
		}
		used[s.Volumes[0]] = name
	}
	if roles["namesrv"] != 2 || roles["broker"] != 2 || len(used) != 4 || len(c.Volumes) != 4 {
		t.Errorf("roles %v, volumes %v", roles, used)
	}
	docker, missing := didNotRun(t, "docker")
	if missing {
		return
	}
	if _, _, code := runIn(t, nil, docker, "compose", "version"); code != 0 {
		t.Log("DID NOT RUN: docker has no compose")
		return
	}
	if out, errs, code := runIn(t, []string{"TWOSTAGE_ACCESS_KEY=" + firstUser, "TWOSTAGE_SECRET_KEY=" + firstSecret}, docker, "compose", "-f", root+"deploy/compose/compose.yaml", "config", "--quiet"); code != 0 {
		t.Errorf("docker compose config: exit code %d\n%s%s", code, out, errs)
	}
}
