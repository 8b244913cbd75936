package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"regcred.dev"
)

// maxSize bounds the file, in bytes.
const maxSize = 4 << 20

// Load reads the file at path. Relative paths in it are relative to the working
// directory, as those of the command line are.
//
// All errors are Invalid and name the file, and the line where one is to blame.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, regcred.Errorf(regcred.Invalid, "configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return Config{}, regcred.Errorf(regcred.Invalid, "configuration %s: %w", path, err)
	}
	return Parse(path, data, Sources{Getenv: os.LookupEnv, ReadFile: readFile})
}

// readFile reads no more than is used of a file that may have no end.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxReference+1))
}

// Sources are where references are resolved.
type Sources struct {
	Getenv   func(name string) (string, bool)
	ReadFile func(path string) ([]byte, error)
}

// Parse reads the content of a file called name.
func Parse(name string, data []byte, sources Sources) (Config, error) {
	if len(data) > maxSize {
		return Config{}, regcred.Errorf(regcred.Invalid, "configuration %s: it is larger than %d bytes", name, maxSize)
	}
	p := parser{name: name, sources: sources}
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, regcred.Errorf(regcred.Invalid, "%s", p.yamlError(err))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, regcred.Errorf(regcred.Invalid, "%s: it holds more than one YAML document; keep the first", name)
	}
	cfg := f.config(&p)
	if len(p.problems) > 0 {
		return Config{}, regcred.Errorf(regcred.Invalid, "%s", strings.Join(p.problems, "\n"))
	}
	return cfg, nil
}

// parser collects every problem of a file, so that one start shows them all.
type parser struct {
	name     string
	sources  Sources
	problems []string
}

func (p *parser) problem(line int, format string, args ...any) {
	p.problems = append(p.problems, p.at(line)+": "+fmt.Sprintf(format, args...))
}

// at names a line of the file.
func (p *parser) at(line int) string { return fmt.Sprintf("%s:%d", p.name, line) }

// The decoder's own messages name Go types, and quote the value at fault, which
// may be a secret that was put into the file.
var (
	lineOf       = regexp.MustCompile(`line (\d+):`)
	unknownField = regexp.MustCompile(`^line (\d+): field (\S+) not found in type`)
	wrongType    = regexp.MustCompile(`^line (\d+): cannot unmarshal !!(\w+).* into (.*)$`)
	duplicateKey = regexp.MustCompile(`^line (\d+): mapping key "?([^"]*)"? already defined at line (\d+)`)
)

func (p *parser) yamlError(err error) string {
	typeErr, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
			return fmt.Sprintf("%s:%s: it is not valid YAML: check quotes and indentation", p.name, m[1])
		}
		return p.name + ": it is not valid YAML: check quotes and indentation"
	}
	var lines []string
	for _, e := range typeErr.Errors {
		lines = append(lines, p.name+":"+typeProblem(e))
	}
	return strings.Join(lines, "\n")
}

func typeProblem(e string) string {
	if m := unknownField.FindStringSubmatch(e); m != nil {
		return fmt.Sprintf("%s: unknown key %q", m[1], m[2])
	}
	if m := wrongType.FindStringSubmatch(e); m != nil {
		return fmt.Sprintf("%s: a %s stands where %s is expected", m[1], kinds[m[2]], expected(m[3]))
	}
	if m := duplicateKey.FindStringSubmatch(e); m != nil {
		return fmt.Sprintf("%s: the key %q stands in line %s already", m[1], m[2], m[3])
	}
	if m := lineOf.FindStringSubmatch(e); m != nil {
		return m[1] + ": it has the wrong type"
	}
	return " a value has the wrong type"
}

var kinds = map[string]string{
	"str": "text", "int": "number", "float": "number", "bool": "true or false", "seq": "list", "map": "mapping", "null": "nothing",
}

func expected(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case goType == "int" || goType == "float32":
		return "a number"
	case goType == "bool":
		return "true or false"
	case goType == "string" || strings.HasSuffix(goType, ".text"):
		return "text"
	}
	return "a mapping"
}
