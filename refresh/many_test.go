package refresh_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/refresh"
	"regcred.dev/store/memory"
)

// TestManyStatics: a hundred thousand usernames and passwords are each minted
// once, and then cost nothing.
func TestManyStatics(t *testing.T) {
	const credentials = 100_000
	p := &issuer{}
	bubble(t, p, func(b bench) {
		for n := range credentials {
			b.create(fmt.Sprint("c", n))
		}
		r, _ := b.start()
		synctest.Wait()
		if p.tokens != credentials {
			b.Errorf("%d tokens", p.tokens)
		}
		all := 0
		for s := range r.Statuses() {
			if all++; !s.HasLogin || !s.Due.IsZero() {
				b.Fatalf("status is %+v", s)
			}
		}
		if all != credentials {
			b.Errorf("%d statuses", all)
		}
		time.Sleep(24 * time.Hour)
		if synctest.Wait(); p.tokens != credentials {
			b.Errorf("%d tokens a day later", p.tokens)
		}
	})
}

// BenchmarkFirstStart mints 100,000 credentials on a store in memory.
func BenchmarkFirstStart(b *testing.B) {
	const credentials = 100_000
	for b.Loop() {
		b.StopTimer()
		store := memory.New()
		for n := range credentials {
			c := regcred.Credential{GUID: fmt.Sprint("c", n), Scope: regcred.OrgScope(fmt.Sprint("o", n)), Provider: "issuer"}
			if _, err := store.Create(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
		var left sync.WaitGroup
		left.Add(credentials)
		counted := &issuer{hosts: []string{host}, before: func(regcred.Credential) { left.Done() }}
		r := refresh.New(refresh.Options{Store: store, Providers: map[string]regcred.Provider{"issuer": counted}})
		b.StartTimer()
		go func() { _ = r.Run(b.Context()) }()
		left.Wait()
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
