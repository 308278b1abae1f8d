// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readKey reads a key that openssl wrote.
func readKey(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEncryptedKeys(t *testing.T) {
	want, _ := pem.Decode(readKey(t, "plain"))
	for _, name := range []string{"aes256", "aes128", "des3"} {
		key, err := plainKey(readKey(t, name), "pass-word")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, _ := pem.Decode(key); got == nil || got.Type != "PRIVATE KEY" || !bytes.Equal(got.Bytes, want.Bytes) {
			t.Errorf("%s: another key", name)
		}
		for _, wrong := range []string{"pass-wore", "x"} {
			if key, err := plainKey(readKey(t, name), wrong); err == nil {
				if got, _ := pem.Decode(key); bytes.Equal(got.Bytes, want.Bytes) { // padding may be right by chance
					t.Errorf("%s: opened by %q", name, wrong)
				}
			}
		}
	}
	if _, err := plainKey(readKey(t, "old"), "pass-word"); err == nil || !strings.Contains(err.Error(), "openssl pkcs8") {
		t.Errorf("a key of PKCS#5 1.5: %v", err)
	}
	same := readKey(t, "plain")
	if key, err := plainKey(same, "not needed"); err != nil || !bytes.Equal(key, same) {
		t.Errorf("a plain key: %v", err)
	}
}

// What is no key is an error, and never takes long.
func FuzzDecryptPKCS8(f *testing.F) {
	for _, name := range []string{"aes256", "aes128", "des3", "old", "plain"} {
		block, _ := pem.Decode(readKey(f, name))
		f.Add(block.Bytes, "pass-word")
	}
	f.Fuzz(func(t *testing.T, der []byte, password string) {
		if bytes.Contains(der, []byte{0x02, 0x03}) || bytes.Contains(der, []byte{0x02, 0x04}) {
			return // iterations of three bytes and more take seconds
		}
		if plain, err := decryptPKCS8(der, password); err == nil && len(plain) > len(der) {
			t.Errorf("%d bytes of %d", len(plain), len(der))
		}
	})
}
