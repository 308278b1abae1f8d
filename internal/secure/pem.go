// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const encryptedKey = "ENCRYPTED PRIVATE KEY"

// pair makes a certificate of the contents of Cert and Key.
func (f *Files) pair(c contents) (tls.Certificate, error) {
	key, err := plainKey(c.key, f.Password)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("private key %s: %w", f.Key, err)
	}
	cert, err := tls.X509KeyPair(c.cert, key)
	if err != nil {
		return cert, fmt.Errorf("certificate %s with private key %s: %w", f.Cert, f.Key, err)
	}
	return cert, nil
}

// pool makes a pool of the contents of Trust.
func (f *Files) pool(c contents) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.trust) {
		return nil, fmt.Errorf("trusted certificates %s: no certificate in PEM form", f.Trust)
	}
	return pool, nil
}

// plainKey gives key without its encryption, if it has one.
func plainKey(key []byte, password string) ([]byte, error) {
	for rest := key; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return key, nil
		case block.Headers["DEK-Info"] != "":
			return nil, errors.New("this old encryption is not supported: convert it with `openssl pkcs8 -topk8`")
		case block.Type != encryptedKey:
		case password == "":
			return nil, errors.New("it is encrypted: give its password (tls.server.keyPassword, tls.client.keyPassword)")
		default:
			der, err := decryptPKCS8(block.Bytes, password)
			if err != nil {
				return nil, err
			}
			return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
		}
	}
}

// selfSigned makes a certificate that no client can verify.
func selfSigned(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "twostage, self-signed"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(30, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
