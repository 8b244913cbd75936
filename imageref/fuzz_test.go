package imageref_test

import (
	"testing"

	"github.com/distribution/reference"

	"regcred.dev/imageref"
)

// Beside these seeds the corpora are under testdata/fuzz.

func FuzzParseImage(f *testing.F) {
	f.Add("registry.example.com:5000/repo/image:tag@" + sha256)
	f.Fuzz(func(t *testing.T, s string) {
		img, err := imageref.ParseImage(s)
		if err == nil {
			checkImage(t, img)
			checkGrammar(t, s, img)
		} else if len(err.Error()) > 1000 {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
	})
}

func FuzzParseLocation(f *testing.F) {
	f.Add("registry.example.com/path/to/repo:5000")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := imageref.ParseLocation(s)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		checkLocation(t, l)
		if _, err := reference.WithName(l.Host() + "/x"); err != nil {
			t.Fatalf("docker's grammar refuses the host of %s: %v", l, err)
		}
		img, err := imageref.ParseImage(l.Host() + "/x")
		if err != nil || img.Host() != l.Host() {
			t.Fatalf("an image of %s is read as %s, %v", l, img, err)
		}
		checkImage(t, img)
	})
}
