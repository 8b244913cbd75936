package imageref_test

import (
	"testing"

	"regcred.dev/imageref"
)

func BenchmarkParseImage(b *testing.B) {
	for _, bench := range []struct{ name, image string }{
		{"hub", "nginx"},
		{"host", "registry.example.com:5000/repo/image:tag"},
		{"ecr", "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app@" + sha256},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := imageref.ParseImage(bench.image); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseLocation(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := imageref.ParseLocation("registry.example.com/path/to/repo:5000"); err != nil {
			b.Fatal(err)
		}
	}
}
