package crane

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// maxFile bounds a metadata file, in bytes: some 500,000 digests.
const maxFile = 64 << 20

// repository is what a metadata file says, of one repository in one of the protocols.
type repository struct {
	name    string
	version int
	// url is where its files are; it ends in a slash. path is the path of it, cleaned:
	// what an entitlement has to be for.
	url, path string
	protected bool

	// Of version 1, which is served by the v1 protocol alone; all others are served by
	// v2 alone.
	images []string          // ids
	tags   map[string]string // ids by tag

	// The manifests that there are by digest or tag, of versions 3 and 4. The first
	// are those of Docker's schema 2, and lists are of version 4 alone.
	schema2, lists map[string]bool
	// amd64 are the tags of lists, with their image for linux/amd64, which is what
	// clients get that know no lists. Of version 4 alone.
	amd64 map[string]manifestOf
}

// manifestOf is a manifest and its schema, 1 or 2. Its JSON is a list of both.
type manifestOf struct {
	digest string
	schema int
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *manifestOf) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return errors.New("an element of manifest_list_amd64_tags is no pair of a digest and a schema version")
	}
	if err := json.Unmarshal(pair[0], &m.digest); err != nil {
		return err
	}
	return json.Unmarshal(pair[1], &m.schema)
}

// document is the JSON of a metadata file. Other fields are of no account, as in
// Crane: "type" and "repository" among them.
type document struct {
	Version   int    `json:"version"`
	Name      string `json:"repo-registry-id"`
	URL       string `json:"url"`
	Protected bool   `json:"protected"`
	Images    []struct {
		ID string `json:"id"`
	} `json:"images"`
	Tags    map[string]string     `json:"tags"`
	Schema2 []string              `json:"schema2_data"`
	Lists   []string              `json:"manifest_list_data"`
	AMD64   map[string]manifestOf `json:"manifest_list_amd64_tags"`
}

// parse reads a metadata file. Its errors say what is wrong, for whoever wrote it.
func parse(data []byte) (*repository, error) {
	var d document
	var fields map[string]json.RawMessage
	if err := cmp.Or(json.Unmarshal(data, &d), json.Unmarshal(data, &fields)); err != nil {
		return nil, fmt.Errorf("it is no redirect metadata: %w", err)
	}
	if err := checkSpelling(fields); err != nil {
		return nil, err
	}
	if d.Version < 1 || d.Version > 4 {
		return nil, fmt.Errorf("its version is %d; 1 to 4 are supported", d.Version)
	}
	if err := checkName(d.Name); err != nil {
		return nil, err
	}
	base, err := baseURL(d.URL)
	if err != nil {
		return nil, err
	}
	if lacks := d.lacks(); lacks != "" {
		return nil, fmt.Errorf("its version is %d, which needs the field %q", d.Version, lacks)
	}
	r := &repository{
		name: d.Name, version: d.Version, url: strings.TrimSuffix(base.String(), "/") + "/", path: path.Clean(base.Path), protected: d.Protected,
		tags: d.Tags, schema2: setOf(d.Schema2), lists: setOf(d.Lists), amd64: d.AMD64,
	}
	for _, image := range d.Images {
		r.images = append(r.images, image.ID)
	}
	return r, r.check()
}

// known are the fields of a document.
var known = []string{
	"version", "repo-registry-id", "url", "protected", "images", "tags",
	"schema2_data", "manifest_list_data", "manifest_list_amd64_tags",
}

// checkSpelling refuses fields that are known in another case. Crane passed over a
// "Protected"; encoding/json would take it for "protected", and perhaps for the last word.
func checkSpelling(fields map[string]json.RawMessage) error {
	for name := range fields {
		for _, k := range known {
			if name != k && strings.EqualFold(name, k) {
				return fmt.Errorf("it has the field %.100q, which is spelled %q", name, k)
			}
		}
	}
	return nil
}

// lacks returns a field that files of the version have and this one has not.
func (d document) lacks() string {
	switch {
	case d.Version == 1 && d.Images == nil:
		return "images"
	case d.Version == 1 && d.Tags == nil:
		return "tags"
	case d.Version >= 3 && d.Schema2 == nil:
		return "schema2_data"
	case d.Version == 4 && d.Lists == nil:
		return "manifest_list_data"
	case d.Version == 4 && d.AMD64 == nil:
		return "manifest_list_amd64_tags"
	}
	return ""
}

// check looks at what becomes part of a URL.
func (r *repository) check() error {
	for _, id := range r.images {
		if !isSegment(id) {
			return fmt.Errorf("%.100q is no image id", id)
		}
	}
	for tag, m := range r.amd64 {
		if !isSegment(m.digest) || m.schema != 1 && m.schema != 2 {
			return fmt.Errorf("the manifest of tag %.100q in manifest_list_amd64_tags is no digest with schema 1 or 2", tag)
		}
	}
	return nil
}

// checkName accepts what a request can ask for.
func checkName(name string) error {
	for segment := range strings.SplitSeq(name, "/") {
		if !isSegment(segment) {
			return fmt.Errorf("its repo-registry-id is %.100q, which is no name of a repository", name)
		}
	}
	return nil
}

// baseURL reads the URL of a repository.
func baseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New(`its url is none of the form "https://host/path/"`) // which may hold a password
	}
	return u, nil
}

// isSegment reports whether s is one segment of a path that is the same in a URL,
// and that leads nowhere else.
func isSegment(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsFunc(s, notInSegment)
}

func notInSegment(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("-._~+:@=,", r)
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}
