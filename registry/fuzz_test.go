package registry

import (
	"encoding/json"
	"slices"
	"testing"

	"regcred.dev/token"
)

// FuzzRepository holds that names and key segments are one to one, and that every
// name makes keys that the Blobs take.
func FuzzRepository(f *testing.F) {
	for _, s := range []string{"a", "a/b", "a+b", "a-b", "a/../b", "a__b.c--d/e", "+", "/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkRepository(s) == nil {
			segment := escapeRepository(s)
			if back, ok := unescapeRepository(segment); !ok || back != s {
				t.Errorf("%q becomes %q and then %q", s, segment, back)
			}
			if err := CheckKey(nameKey(s)); err != nil {
				t.Error(err)
			}
			if err := CheckKey(tagsPrefix(s) + "latest"); err != nil {
				t.Error(err)
			}
		}
		if name, ok := unescapeRepository(s); ok && escapeRepository(name) != s {
			t.Errorf("the segments %q and %q are the same repository", s, escapeRepository(name))
		}
	})
}

// FuzzScopes holds that what a Bearer token gets is valid, was allowed and was
// asked for.
func FuzzScopes(f *testing.F) {
	for _, s := range []string{
		"repository:acme/app:pull,push", "repository:acme/app:*", "registry:catalog:*",
		"repository:a:pull repository:b:push", "repository:*:pull", "repository:acme/*:pull", ":::",
	} {
		f.Add(s, "acme/*", "pull")
	}
	f.Fuzz(func(t *testing.T, scopes, repo, action string) {
		asked, err := parseScopes([]string{scopes})
		granted := token.Grant{Repository: repo, Actions: []string{action}}
		if err != nil || granted.Validate() != nil {
			return
		}
		who := access{grants: []token.Grant{granted}}
		for _, g := range narrow(asked, who) {
			if err := g.Validate(); err != nil {
				t.Error(err)
			}
			if g.Repository == repo { // the catalog's
				continue
			}
			for _, a := range g.Actions {
				if !who.allows(g.Repository, a) {
					t.Errorf("%q on %q gives %s on %s", action, repo, a, g.Repository)
				}
				if !slices.ContainsFunc(asked, func(g2 token.Grant) bool { return g2.Allows(g.Repository, a) }) {
					t.Errorf("%s on %s was not asked for by %q", a, g.Repository, scopes)
				}
			}
		}
	})
}

// FuzzPath holds that whatever path is accepted names valid things only.
func FuzzPath(f *testing.F) {
	const zero = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for _, s := range []string{
		"/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/b/manifests/v1", "/v2/a/blobs/" + zero,
		"/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/x", "/v2/a/referrers/" + zero, "/v2/../x/tags/list",
		"/v2/a/blobs/uploads/manifests/v1", "/v2//manifests/", "/v2/a/blobs/uploads/../..",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		q, err := parsePath(path)
		if err != nil || q.resource == resPing || q.resource == resCatalog {
			return
		}
		keys := []string{nameKey(q.repo)}
		if q.tag != "" {
			keys = append(keys, tagsPrefix(q.repo)+q.tag)
		}
		if q.digest != "" {
			keys = append(keys, contentKey(q.digest), blobKey(q.repo, q.digest), manifestKey(q.repo, q.digest))
		}
		for _, key := range keys {
			if err := CheckKey(key); err != nil {
				t.Errorf("%q: %v", path, err)
			}
		}
	})
}

// FuzzManifest holds that what is accepted is an image or an index, never both,
// however the JSON is read, and that it only names digests that can be looked up.
func FuzzManifest(f *testing.F) {
	const desc = `{"mediaType":"x","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":1}`
	for _, s := range []string{
		`{"schemaVersion":2,"config":` + desc + `,"layers":[` + desc + `]}`,
		`{"schemaVersion":2,"manifests":[` + desc + `],"subject":` + desc + `}`,
		`{"schemaVersion":2,"config":` + desc + `,"layers":[],"manifests":[]}`,
		`{"schemaVersion":2,"layers":[],"layers":[]}`, `{"schemaVersion":2,"Manifests":[],"manifests":[]}`, `{}{}`, `[`,
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, index bool) {
		mediaType := mediaTypeDockerManifest
		if index {
			mediaType = mediaTypeDockerList
		}
		m, err := parseManifest(data, mediaType)
		if err != nil {
			return
		}
		var fields map[string]any
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatalf("it is no JSON: %v", err)
		}
		_, isIndex := fields["manifests"]
		_, isImage := fields["config"]
		if isIndex == isImage || isIndex != index {
			t.Errorf("accepted as %s: %s", mediaType, data)
		}
		for _, d := range append(m.references(), m.optional()...) {
			if err := CheckKey(blobKey("a", d.Digest)); err != nil {
				t.Error(err)
			}
		}
	})
}
