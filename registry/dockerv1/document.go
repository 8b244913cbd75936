package dockerv1

import (
	"encoding/json"
	"strings"
	"time"

	"regcred.dev"
)

// Document is what an image's JSON document says, as far as its conversion reads it:
// https://github.com/moby/docker-image-spec/blob/v1.3.1/v1.md
type Document struct {
	ID              string          `json:"id"`
	Parent          string          `json:"parent"`
	Created         *time.Time      `json:"created"`
	Author          string          `json:"author"`
	Comment         string          `json:"comment"`
	Container       string          `json:"container"`
	DockerVersion   string          `json:"docker_version"`
	OS              string          `json:"os"`
	Architecture    string          `json:"architecture"`
	Config          json.RawMessage `json:"config"`
	ContainerConfig json.RawMessage `json:"container_config"`
}

// ParseDocument reads the JSON document of the image with that id. Errors: Invalid
// where it is malformed or another image's; TooLarge beyond MaxDocument.
func ParseDocument(id string, data []byte) (Document, error) {
	var d Document
	if len(data) > MaxDocument {
		return d, regcred.Errorf(regcred.TooLarge, "the JSON document of %.64s has more than %d bytes", id, MaxDocument)
	}
	fail := func(format string, args ...any) (Document, error) {
		return Document{}, regcred.Errorf(regcred.Invalid, "the JSON document of %.64s "+format, append([]any{id}, args...)...)
	}
	if err := CheckID(id); err != nil {
		return d, err
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return fail("is malformed: %w", err)
	}
	if d.ID != id {
		return fail("is that of %.64q", d.ID)
	}
	if d.Parent != "" && CheckID(d.Parent) != nil {
		return fail("names the parent %.80q, which is no id", d.Parent)
	}
	for _, config := range []*json.RawMessage{&d.Config, &d.ContainerConfig} {
		switch {
		case len(*config) == 0 || string(*config) == "null":
			*config = nil
		case (*config)[0] != '{':
			return fail("has a config that is no JSON object")
		}
	}
	return d, nil
}

// createdBy returns the command that made the layer. Docker writes it in one line
// into an image's history.
func (d Document) createdBy() string {
	var config struct {
		Cmd json.RawMessage `json:"Cmd"`
	}
	if d.ContainerConfig == nil || json.Unmarshal(d.ContainerConfig, &config) != nil {
		return ""
	}
	var words []string
	if json.Unmarshal(config.Cmd, &words) == nil {
		return strings.Join(words, " ")
	}
	var line string
	if json.Unmarshal(config.Cmd, &line) != nil {
		return ""
	}
	return line
}

// Platform returns what the image runs on. Docker left both out as long as there was
// one answer only: linux and amd64.
func (d Document) Platform() (os, architecture string) {
	os, architecture = d.OS, d.Architecture
	if os == "" {
		os = "linux"
	}
	if architecture == "" {
		architecture = "amd64"
	}
	return os, architecture
}

// CheckParents checks that the documents are a chain as an ancestry tells it: an
// image's own first, each followed by its parent's, and the last without a parent.
// Errors: Invalid.
func CheckParents(documents []Document) error {
	for i, d := range documents {
		parent := ""
		if i+1 < len(documents) {
			parent = documents[i+1].ID
		}
		if d.Parent != parent {
			return regcred.Errorf(regcred.Invalid, "the ancestry has %.64q after %s, whose JSON document names %.64q as its parent: the export is damaged, write it again", parent, d.ID, d.Parent)
		}
	}
	return nil
}
