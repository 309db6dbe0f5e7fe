package dev

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ensureStore unpacks the sample store as home/mdbox unless that exists. It appears whole or not at all.
func ensureStore(home string) error {
	store := filepath.Join(home, "mdbox")
	if _, err := os.Stat(store); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("dev: %w", err)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	tmp, err := os.MkdirTemp(home, ".unpack")
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := unpack(sample, tmp); err != nil {
		return fmt.Errorf("dev: sample store: %w", err)
	}
	if err := os.Rename(filepath.Join(tmp, "mdbox"), store); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	return nil
}

// unpack writes the files and directories of a tar.gz below dir. Files get their modification times: Dovecot compares some of them.
func unpack(archive []byte, dir string) error {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("%q leaves the directory", h.Name)
		}
		if err := unpackOne(filepath.Join(dir, h.Name), h, r); err != nil {
			return err
		}
	}
}

func unpackOne(path string, h *tar.Header, r io.Reader) error {
	mode := os.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(path, mode)
	case tar.TypeReg:
	default:
		return fmt.Errorf("%q is neither a file nor a directory", h.Name)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return err
	}
	return os.Chtimes(path, h.ModTime, h.ModTime)
}
