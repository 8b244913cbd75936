package api

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"regcred.dev"
)

func TestSelector(t *testing.T) {
	labels := map[string]string{"env": "prod", "tier": "web", "example.com/team": "a", "empty": ""}
	for selector, want := range map[string]bool{
		"env":                  true,
		"none":                 false,
		"!env":                 false,
		"!none":                true,
		"env=prod":             true,
		"env==prod":            true,
		"env = prod":           true,
		"env=dev":              false,
		"env!=dev":             true,
		"env!=prod":            false,
		"none!=x":              true,
		"env in (dev,prod)":    true,
		"env in (dev, test)":   false,
		"env notin (dev,prod)": false,
		"none notin (a)":       true,
		"none in (a)":          false,
		"example.com/team=a,tier in (web,db),!none": true,
		"tier in (web,db),env=dev":                  false,
		"empty=":                                    true,
		"env=":                                      false,
		"empty":                                     true,
	} {
		requirements, err := parseSelector(selector)
		if err != nil {
			t.Errorf("%q: %v", selector, err)
			continue
		}
		got := true
		for _, r := range requirements {
			got = got && r.selects(labels)
		}
		if got != want {
			t.Errorf("%q selects: %v, want %v", selector, got, want)
		}
	}
	for _, bad := range []string{"", ",", " ", "a b", "=x", "!", "env in dev", "env in (a", "env in a)", "a=b=c", "-a", "a/b/c", "a=-", strings.Repeat("a,", 51)} {
		if _, err := parseSelector(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzSelector(f *testing.F) {
	f.Add("example.com/team=a,tier in (web,db),!none,x notin (y),z!=1")
	f.Add("a in ((b),c)")
	f.Add(",,a,")
	f.Fuzz(func(t *testing.T, s string) {
		requirements, err := parseSelector(s)
		if err != nil {
			return
		}
		for _, r := range requirements {
			if !r.valid() {
				t.Errorf("%q has the requirement %+v", s, r)
			}
			// What is there and what is not is never both selected, nor both refused,
			// by a requirement on the key alone.
			if r.values == nil && r.selects(map[string]string{r.key: "x"}) == r.selects(nil) {
				t.Errorf("%q: %+v tells nothing apart", s, r)
			}
		}
	})
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 1, 31, 15, 4, 5, 987e6, time.UTC)
	for query, want := range map[string]bool{
		"":                                 true,
		"created_ats=2026-01-31T15:04:05Z": true,
		"created_ats=2026-01-31T15:04:06Z": false,
		"created_ats=2025-01-01T00:00:00Z,2026-01-31T15:04:05Z":                     true,
		"created_ats=2025-01-01T00:00:00Z,+2026-01-31T15:04:05Z":                    true,
		"created_ats[gt]=2026-01-31T15:04:05Z":                                      false,
		"created_ats[gte]=2026-01-31T15:04:05Z":                                     true,
		"created_ats[lt]=2026-01-31T15:04:05Z":                                      false,
		"created_ats[lte]=2026-01-31T15:04:05Z":                                     true,
		"created_ats[gt]=2026-01-01T00:00:00Z&created_ats[lt]=2026-02-01T00:00:00Z": true,
		"created_ats[gt]=2026-01-01T00:00:00Z&created_ats[lt]=2026-01-02T00:00:00Z": false,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseTimes(q, "created_ats")
		if err != nil || f.selects(at) != want {
			t.Errorf("%s: %v, %v", query, f.selects(at), err)
		}
	}
	for _, bad := range []string{"created_ats=", "created_ats=yesterday", "created_ats[lt]=2026-01-31T15:04:05Z,2026-01-31T15:04:05Z", "created_ats[gt]=2026-01-31", "created_ats=2026-01-31T15:04:05%2B01:00"} {
		q, _ := url.ParseQuery(bad)
		if _, err := parseTimes(q, "created_ats"); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestMetadata(t *testing.T) {
	value := func(s string) *string { return &s }
	for _, good := range []map[string]*string{
		nil, {"team": value("a")}, {"example.com/team": value("")}, {"Example.com/Team": value("A")}, {"a.b-c_d": nil}, {strings.Repeat("a", 63): value(strings.Repeat("b", 63))},
	} {
		if err := checkMetadata(good, good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for key, v := range map[string]string{
		"": "a", "-a": "", "a-": "", "a b": "", "example/a": "", "/a": "", "example.com/": "", "a/b.com/c": "", strings.Repeat("a", 64) + ".com/a": "",
		"cloudfoundry.org/a": "", "CloudFoundry.org/a": "", strings.Repeat("a", 64): "", strings.Repeat("a.", 130) + "com/a": "", "team": "a b", "other": strings.Repeat("a", 64),
	} {
		if err := checkMetadata(map[string]*string{key: &v}, nil); regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("label %q: %q: %v", key, v, err)
		}
	}
	long := strings.Repeat("a", maxAnnotation+1)
	if err := checkMetadata(nil, map[string]*string{"a": &long}); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("a long annotation: %v", err)
	}
}
