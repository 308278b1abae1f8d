// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// maxIterations bounds what a key file can make us compute: about ten seconds.
const maxIterations = 10_000_000

// An encrypted private key in PKCS#8 form, RFC 5958:
//
//	EncryptedPrivateKeyInfo  algorithm, data
//	  algorithm PBES2        RFC 8018, A.4
//	    PBKDF2               salt, iterations, length of the key, pseudo-random function
//	    AES-CBC or 3DES-CBC  initialization vector
type (
	encryptedInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params struct {
		Derivation pkix.AlgorithmIdentifier
		Cipher     pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	prfs = map[string]func() hash.Hash{
		"":                    sha1.New, // the default
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	ciphers = map[string]struct {
		key int
		new func([]byte) (cipher.Block, error)
	}{
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	}

	errPassword = errors.New("the password is wrong, or the file is damaged")
)

// decryptPKCS8 gives the PrivateKeyInfo of an EncryptedPrivateKeyInfo.
func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var info encryptedInfo
	if err := whole(der, &info, "encrypted private key"); err != nil {
		return nil, err
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("encryption %v is not supported: convert it with `openssl pkcs8 -topk8`", info.Algorithm.Algorithm)
	}
	var both pbes2Params
	if err := whole(info.Algorithm.Parameters.FullBytes, &both, "PBES2"); err != nil {
		return nil, err
	}
	if !both.Derivation.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("key derivation %v is not supported: convert it with `openssl pkcs8 -topk8`", both.Derivation.Algorithm)
	}
	var kdf pbkdf2Params
	if err := whole(both.Derivation.Parameters.FullBytes, &kdf, "PBKDF2"); err != nil {
		return nil, err
	}
	c, ok := ciphers[both.Cipher.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("cipher %v is not supported: convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`", both.Cipher.Algorithm)
	}
	prf, ok := prfs[kdf.PRF.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("PBKDF2 with %v is not supported", kdf.PRF.Algorithm)
	}
	if kdf.Iterations < 1 || kdf.Iterations > maxIterations || kdf.KeyLength != 0 && kdf.KeyLength != c.key {
		return nil, fmt.Errorf("PBKDF2 with %d iterations for a key of %d bytes is not supported", kdf.Iterations, kdf.KeyLength)
	}
	var iv []byte
	if err := whole(both.Cipher.Parameters.FullBytes, &iv, "initialization vector"); err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(prf, password, kdf.Salt, kdf.Iterations, c.key)
	if err != nil {
		return nil, err
	}
	block, err := c.new(key)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(info.Data) == 0 || len(info.Data)%size != 0 {
		return nil, fmt.Errorf("%d encrypted bytes with an initialization vector of %d, the cipher has blocks of %d", len(info.Data), len(iv), size)
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	return unpad(plain, size)
}

// unpad takes the padding of PKCS#7 off.
func unpad(p []byte, size int) ([]byte, error) {
	n := int(p[len(p)-1])
	if n == 0 || n > size {
		return nil, errPassword
	}
	for _, b := range p[len(p)-n:] {
		if int(b) != n {
			return nil, errPassword
		}
	}
	return p[:len(p)-n], nil
}

// whole decodes der, all of it.
func whole(der []byte, to any, what string) error {
	rest, err := asn1.Unmarshal(der, to)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(rest) > 0 {
		return fmt.Errorf("%s: %d bytes too many", what, len(rest))
	}
	return nil
}
