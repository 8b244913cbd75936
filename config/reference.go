package config

import (
	"errors"
	"io/fs"
	"strings"

	"regcred.dev"
)

// maxReference bounds what a reference yields, in bytes: the largest secrets are
// key files of a few KiB.
const maxReference = 1 << 20

func isReference(s string) bool {
	return strings.HasPrefix(s, "file:") || strings.HasPrefix(s, "env:")
}

// secret resolves a reference. One trailing newline is left out of a file, as
// editors and `echo` add one.
func (p *parser) secret(key string, t text) regcred.Secret {
	kind, name, _ := strings.Cut(t.value, ":")
	switch {
	case !isReference(t.value):
		// The value itself may be a secret: it is not shown.
		p.problem(t.line, "%s: secrets do not stand in this file: write file:PATH or env:NAME", key)
	case name == "":
		p.problem(t.line, "%s: %s: needs a name behind it", key, kind)
	case kind == "env":
		value, ok := p.sources.Getenv(name)
		if !ok || value == "" {
			p.problem(t.line, "%s: the environment variable %s is not set", key, name)
		}
		return regcred.NewSecret(value)
	default:
		return p.secretFile(key, name, t.line)
	}
	return regcred.Secret{}
}

func (p *parser) secretFile(key, path string, line int) regcred.Secret {
	data, err := p.sources.ReadFile(path)
	if err != nil {
		// An fs.PathError's own text repeats the path.
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		p.problem(line, "%s: cannot read %s: %v", key, path, err)
		return regcred.Secret{}
	}
	if len(data) > maxReference {
		p.problem(line, "%s: %s is larger than %d bytes", key, path, maxReference)
		return regcred.Secret{}
	}
	content := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if content == "" {
		p.problem(line, "%s: %s is empty", key, path)
	}
	return regcred.NewSecret(content)
}
