package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/registry/archive"
	"regcred.dev/registry/publish"
)

// TestMeter shows progress in lines of their own, and in one line of a terminal.
func TestMeter(t *testing.T) {
	for _, test := range []struct {
		name  string
		width int
		every time.Duration
		want  string
	}{
		{"file", 0, time.Second, "" +
			"downloading: 5.0 of 10.0 MB, 5 MB/s\n" +
			"acme/app:1: 1 of 3 contents, 2.0 of 6.0 MB, 2 MB/s\n" +
			"sending again\n" +
			"acme/app:1: 2 of 3 contents, 4.0 of 6.0 MB, 2 MB/s\n"},
		{"terminal", 40, 100 * time.Millisecond, "" +
			"\r\x1b[Kdownloading: 5.0 of 10.0 MB, 50 MB/s" +
			"\r\x1b[Kacme/app:1: 1 of 3 contents, 2.0 of 6.0" +
			"\r\x1b[Ksending again\n" +
			"\r\x1b[Kacme/app:1: 2 of 3 contents, 4.0 of 6.0" +
			"\r\x1b[K"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				m := newMeter(&out)
				m.width = test.width
				opening := m.opening()
				opening(archive.Progress{Phase: archive.Downloading, Bytes: 1e6})
				<-time.After(test.every) // of the bubble's clock
				opening(archive.Progress{Phase: archive.Downloading, Bytes: 5e6, Total: 10e6})
				publishing := m.publishing("acme/app:1")
				publishing(publish.Progress{Contents: 3, Bytes: 6e6})
				<-time.After(test.every)
				publishing(publish.Progress{Contents: 3, Done: 1, Bytes: 6e6, BytesDone: 2e6})
				fmt.Fprintln(m, "sending again")
				publishing(publish.Progress{Contents: 3, Done: 1, Bytes: 6e6, BytesDone: 3e6})
				<-time.After(test.every)
				publishing(publish.Progress{Contents: 3, Done: 2, Bytes: 6e6, BytesDone: 4e6})
				m.end()
				m.end()
				if diff := cmp.Diff(test.want, out.String()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestRate divides by no zero.
func TestRate(t *testing.T) {
	if got := rate(1e6, time.Now()); !strings.HasSuffix(got, " MB/s") || strings.Contains(got, "Inf") {
		t.Errorf("rate %q", got)
	}
}
