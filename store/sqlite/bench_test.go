package sqlite_test

import (
	"fmt"
	"sync"
	"sync/atomic"
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

// BenchmarkPutLogin has several callers at a time, as there are where many
// credentials are minted from. It includes the wait for the disk.
func BenchmarkPutLogin(b *testing.B) {
	for _, callers := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) { putLogins(b, callers) })
	}
}

func putLogins(b *testing.B, callers int) {
	s := open(b, newPath(b))
	fence, err := s.Fence(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	l := regcred.Login{Username: "AWS", Password: regcred.NewSecret(string(make([]byte, 1500))), Version: 1}
	var guids []string
	for i := range callers {
		c, err := s.Create(b.Context(), credential(fmt.Sprint(i), "quay.io"))
		if err != nil {
			b.Fatal(err)
		}
		guids = append(guids, c.GUID)
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for _, guid := range guids {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := s.PutLogin(b.Context(), guid, l, fence); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
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
