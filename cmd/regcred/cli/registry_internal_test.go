package cli

import (
	"testing"
	"time"
)

func TestParseImage(t *testing.T) {
	for s, want := range map[string]imageName{
		"app:1":                       {"app", "1", ""},
		"acme/app:1.0":                {"acme/app", "1.0", ""},
		"acme/app@sha256:12":          {"acme/app", "", "sha256:12"},
		"localhost:5000/acme/app:1.0": {"localhost:5000/acme/app", "1.0", ""}, // the server says what is wrong with it
		"":                            {}, ":1": {}, "app": {}, "app:": {}, "localhost:5000/app": {}, "@sha256:12": {}, "app@": {}, "app:1@sha256:12": {},
	} {
		got, err := parseImage(s)
		if got != want || (err != nil) != (want == imageName{}) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
		if err == nil && got.String() != s {
			t.Errorf("%q is written %q", s, got)
		}
		if tag, err := parseTag(s); (err == nil) != (want.tag != "") || err == nil && tag != want {
			t.Errorf("%q as a tag: %+v, %v", s, tag, err)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 50e9: "50.0 GB", 1 << 62: "4611.7 PB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d bytes are %s, not %s", n, got, want)
		}
	}
}

func TestParseDay(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{"": "2026-03-01", "7d": "2026-02-22", "24h": "2026-02-28", "2026-01-31": "2026-01-31", "soon": "", "2026-02-30": "", "-7d": ""} {
		got, err := parseDay("--from", s, now)
		if want == "" && err == nil || want != "" && (err != nil || got.Format(time.DateOnly) != want) {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
}
