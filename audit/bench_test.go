package audit_test

import (
	"path/filepath"
	"testing"

	"regcred.dev"
	"regcred.dev/audit"
	"regcred.dev/seal"
	"regcred.dev/store/sqlite"
)

// BenchmarkAllow measures what a push waits for the log: alone it waits for a commit of
// its own, and with others beside it for one that they share.
func BenchmarkAllow(b *testing.B) {
	key, err := seal.NewKey(make([]byte, seal.RootSize))
	if err != nil {
		b.Fatal(err)
	}
	store, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "regcred.db"), Keys: seal.Keys{key}})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	log := audit.New(store, nil)
	push := regcred.AuditEntry{Caller: "token 0123456789ab (ci)", From: "192.0.2.1", Operation: "push manifest", Repository: "acme/app", Detail: "acme/app:v1"}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			if err := log.Allow(b.Context(), push); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("32 at once", func(b *testing.B) {
		b.SetParallelism(16) // on each of two processors
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := log.Allow(b.Context(), push); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
