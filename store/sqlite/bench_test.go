package sqlite_test

import (
	"fmt"
	"testing"

	"regcred.dev"
)

// BenchmarkCreate includes the wait for the disk.
func BenchmarkCreate(b *testing.B) {
	s := open(b, newPath(b))
	for n := 0; b.Loop(); n++ {
		if _, err := s.Create(b.Context(), credential(fmt.Sprint(n), "quay.io")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, newPath(b))
	guid, _, _ := fill(b, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), guid); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWatch reads 2,000 credentials with their logins, as a start does.
func BenchmarkWatch(b *testing.B) {
	const n = 2000
	s := open(b, newPath(b))
	fence, err := s.Fence(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		c, err := s.Create(b.Context(), credential(fmt.Sprint(i), "quay.io"))
		if err != nil {
			b.Fatal(err)
		}
		l := regcred.Login{Username: "AWS", Password: regcred.NewSecret(string(make([]byte, 1500))), Version: 1}
		if _, err := s.PutLogin(b.Context(), c.GUID, l, fence); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		for batch, err := range s.Watch(b.Context(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			if batch.Current {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/credential")
}
