package dockerconfig_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"regcred.dev"
	"regcred.dev/deliver"
)

// BenchmarkSync syncs a file of 100 delivered entries: where nothing changes, and
// where one login is renewed each time.
func BenchmarkSync(b *testing.B) {
	var hosts []string
	for i := range 100 {
		hosts = append(hosts, fmt.Sprintf("r%d.example.com", i))
	}
	for _, renew := range []bool{false, true} {
		b.Run(fmt.Sprintf("renew=%t", renew), func(b *testing.B) {
			tg, revision := target(nil, filepath.Join(b.TempDir(), "config.json")), uint64(1000)
			newest := book(revision, hosts...)
			for b.Loop() {
				if renew {
					revision++
					newest = newest.Apply(regcred.Batch{Revision: revision, Changes: []regcred.Change{put(revision, hosts[0], fmt.Sprint(revision))}})
				}
				if _, err := tg.Sync(b.Context(), newest, deliver.SyncOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
