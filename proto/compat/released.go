package compat

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Where descriptor sets are, below the root of the repository.
const (
	// Present is written by "make proto" from the .proto files.
	Present = "proto/descriptors.binpb"
	// Frozen holds one set for each release, which is never changed after it.
	Frozen = "proto/frozen"
)

// CheckReleased compares the present descriptors with those of every release, and with those of the last tag of git, if there is
// one that has any. It returns the breaks, each with the release.
func CheckReleased(root string) (breaks []string, err error) {
	now, err := Load(filepath.Join(root, Present))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(root, Frozen, "*.binpb"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("compat: nothing in %s: %w", Frozen, errors.Join(err, os.ErrNotExist))
	}
	for _, file := range files {
		old, err := Load(file)
		if err != nil {
			return nil, err
		}
		breaks = appendBreaks(breaks, strings.TrimSuffix(filepath.Base(file), ".binpb"), old, now)
	}
	tag, old, err := lastTag(root)
	if err != nil || old == nil {
		return breaks, err
	}
	return appendBreaks(breaks, "tag "+tag, old, now), nil
}

func appendBreaks(breaks []string, release string, old, now *descriptorpb.FileDescriptorSet) []string {
	for _, b := range Compare(old, now) {
		breaks = append(breaks, release+": "+b)
	}
	return breaks
}

// Load reads a descriptor set.
func Load(file string) (*descriptorpb.FileDescriptorSet, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("compat: %w", err)
	}
	return decode(file, b)
}

func decode(file string, b []byte) (*descriptorpb.FileDescriptorSet, error) {
	s := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("compat: %s: %w", file, err)
	}
	if len(s.File) == 0 {
		return nil, fmt.Errorf("compat: %s holds no descriptors", file)
	}
	return s, nil
}

// lastTag returns the descriptors of the last tag before the present commit; nil without a repository, a tag, or descriptors in it.
func lastTag(root string) (tag string, s *descriptorpb.FileDescriptorSet, err error) {
	out, err := exec.Command("git", "-C", root, "describe", "--tags", "--abbrev=0", "--match", "v*").Output()
	if err != nil {
		return "", nil, nil // no git, no repository, or no tag
	}
	tag = strings.TrimSpace(string(out))
	b, err := exec.Command("git", "-C", root, "show", tag+":"+Present).Output()
	if err != nil {
		return tag, nil, nil // of before there were any
	}
	s, err = decode(tag+":"+Present, b)
	return tag, s, err
}
