// Package dev makes the directory that "roost dev" serves: a configuration, a
// self-signed certificate, the user demo with the password demo, and a store of a few mails.
//
//	DIR/roost.toml          the configuration, an example to start from
//	DIR/users               the passwd-file
//	DIR/cert.pem, key.pem   self-signed, for localhost and loopback addresses
//	DIR/mail/demo/mdbox/    the sample store
//
// The store was written by a real Dovecot (sample.py) and is embedded, so that
// nothing but the binary is needed. What exists already is left alone: the directory is for playing with.
package dev

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed sample.tar.gz
var sample []byte

//go:embed roost.toml
var sampleConfig []byte

// The sample user.
const (
	User     = "demo"
	Password = "demo"
)

// Prepare makes what is missing in dir, and returns the path of the configuration file.
func Prepare(dir string) (configFile string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("dev: %w", err)
	}
	configFile = filepath.Join(dir, "roost.toml")
	if err := writeNew(configFile, sampleConfig, 0o644); err != nil {
		return "", err
	}
	users := fmt.Sprintf("%s:{PLAIN}%s\n", User, Password)
	if err := writeNew(filepath.Join(dir, "users"), []byte(users), 0o600); err != nil {
		return "", err
	}
	if err := ensureCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); err != nil {
		return "", err
	}
	if err := ensureStore(filepath.Join(dir, "mail", User)); err != nil {
		return "", err
	}
	return configFile, nil
}

// writeNew writes a file unless it exists.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return fmt.Errorf("dev: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	return nil
}
