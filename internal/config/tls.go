// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

// TLS is what a server's ports speak, and how it connects to other servers.
type TLS struct {
	Mode          string // tls.server.mode: disabled, permissive or enforcing
	SelfSigned    bool   // no certificate is set: one is made in memory
	CertPath      string // tls.server.certPath
	KeyPath       string // tls.server.keyPath
	KeyPassword   string // tls.server.keyPassword
	TrustPath     string // tls.server.trustCertPath; "" is the system's roots
	ClientAuth    string // tls.server.need.client.auth: none, optional or require
	VerifyClients bool   // tls.server.authClient: certificates of clients are verified
	Client        TLSClient
}

// TLSClient is how a server connects to other servers.
type TLSClient struct {
	Enabled     bool   // tls.enable or useTLS
	CertPath    string // tls.client.certPath
	KeyPath     string // tls.client.keyPath
	KeyPassword string // tls.client.keyPassword
	TrustPath   string // tls.client.trustCertPath; "" is the system's roots
	Verify      bool   // tls.client.authServer: certificates of servers are verified
	ServerName  string // tls.client.serverName: what they must be for; "" is the host that is connected to
}

// Limits are of the connections of one port.
type Limits struct {
	Connections   int   // maxConnections; 0: no limit
	PerAddress    int   // maxConnectionsPerAddress; 0: no limit
	InflightBytes int   // maxInflightBytesPerConnection: of requests that are being served
	ArrivingBytes int64 // maxArrivingBytes: of large frames that are still arriving, over all connections
}

func (s *settings) limits() Limits {
	return Limits{
		Connections: s.int("maxConnections"), PerAddress: s.int("maxConnectionsPerAddress"),
		InflightBytes: s.int("maxInflightBytesPerConnection"), ArrivingBytes: s.int64("maxArrivingBytes"),
	}
}

func (s *settings) tls() TLS {
	t := TLS{
		Mode:     s.text(keyTLSMode),
		CertPath: s.text(keyTLSCert), KeyPath: s.text("tls.server.keyPath"), KeyPassword: s.text("tls.server.keyPassword"),
		TrustPath:  s.text("tls.server.trustCertPath"),
		ClientAuth: s.text("tls.server.need.client.auth"), VerifyClients: s.flag("tls.server.authClient"),
		Client: TLSClient{
			Enabled:  s.flag("tls.enable") || s.flag("useTLS"),
			CertPath: s.text("tls.client.certPath"), KeyPath: s.text("tls.client.keyPath"), KeyPassword: s.text("tls.client.keyPassword"),
			TrustPath: s.text("tls.client.trustCertPath"), Verify: s.flag("tls.client.authServer"), ServerName: s.text("tls.client.serverName"),
		},
	}
	files := t.CertPath != "" || t.KeyPath != ""
	switch {
	case files && s.isSet(keyTLSTest) && s.flag(keyTLSTest):
		s.reject(keyTLSTest, "certificate files are set, which the test mode would not use: set false, or remove them")
	case files && (t.CertPath == "" || t.KeyPath == ""):
		s.reject(keyTLSCert, "tls.server.certPath and tls.server.keyPath go together: set both")
	case !files && !s.flag(keyTLSTest) && t.Mode != "disabled":
		s.reject(keyTLSTest, "without the test mode TLS needs a certificate: set tls.server.certPath and tls.server.keyPath, or tls.server.mode=disabled")
	}
	t.SelfSigned = !files
	if t.VerifyClients && t.ClientAuth == "none" {
		s.reject("tls.server.authClient", "no certificate is asked for: set tls.server.need.client.auth=require (or optional)")
	}
	if (t.Client.CertPath == "") != (t.Client.KeyPath == "") {
		s.reject("tls.client.certPath", "tls.client.certPath and tls.client.keyPath go together: set both")
	}
	if t.Client.Verify && !t.Client.Enabled {
		s.reject("tls.client.authServer", "connections to other servers are in plaintext: set tls.enable=true")
	}
	return t
}

// tlsFile reads the file that tls.config.file names, once: then it is in files. What another source sets wins over it.
func (s *settings) tlsFile(files map[string]File) {
	name := s.text(keyTLSFile)
	if name == "" {
		return
	}
	f, ok := files[name]
	if !ok {
		var err error
		if f, err = ReadFile(name); err != nil {
			s.reject(keyTLSFile, err.Error())
			return
		}
		files[name] = f
	}
	own := newSettings(s.table)
	own.file(f)
	s.errs = append(s.errs, own.errs...)
	for _, key := range s.table.keys {
		v, ok := own.set[key.name]
		if !ok {
			continue
		}
		if !fromTLSFile[key.name] {
			s.fail(v.source, v.as, "", "not a key of a TLS file: set it in the %s's configuration", s.table.owner)
		} else if _, set := s.set[key.name]; !set {
			s.set[key.name] = v
		}
	}
}

// fromTLSFile are the keys that RocketMQ reads from tls.properties.
var fromTLSFile = map[string]bool{
	keyTLSTest: true, keyTLSCert: true, "tls.server.keyPath": true, "tls.server.keyPassword": true,
	"tls.server.trustCertPath": true, "tls.server.need.client.auth": true, "tls.server.authClient": true,
	"tls.client.certPath": true, "tls.client.keyPath": true, "tls.client.keyPassword": true,
	"tls.client.trustCertPath": true, "tls.client.authServer": true,
}

// tlsTo holds that the broker can register with the name server of its process.
func (s *settings) tlsTo(b Broker, n Namesrv) {
	if len(b.Registration.NameServers) > 0 {
		return
	}
	switch {
	case n.TLS.Mode == "enforcing" && !b.TLS.Client.Enabled:
		s.reject("tls.enable", "the name server of this process takes TLS only (tls.server.mode=enforcing), so the broker could not register: set true")
	case n.TLS.Mode == "disabled" && b.TLS.Client.Enabled:
		s.reject("tls.enable", "the name server of this process speaks no TLS (tls.server.mode=disabled), so the broker could not register: set false")
	}
}
