package rancher_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"regcred.dev/deliver/rancher"
	"regcred.dev/imageref"
)

// TestRecord: what is written is read back, whatever its users' text is.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 400, -1).Draw(t, "text")
		if rapid.Bool().Draw(t, "twice") {
			text += " [regcred store=other guid=g revision=7]"
		}
		store, guid := rapid.StringMatching(`[0-9a-f-]{1,36}`).Draw(t, "store"), rapid.StringMatching(`[!-~]{1,80}`).Draw(t, "guid")
		revision, made := rapid.Uint64().Draw(t, "revision"), rapid.Bool().Draw(t, "made")
		expires := time.Time{}
		if rapid.Bool().Draw(t, "expires") {
			expires = time.Unix(rapid.Int64Range(0, 1<<35).Draw(t, "at"), 0).UTC()
		}
		description, err := rancher.Record(text, store, guid, revision, expires, made)
		if err != nil || utf8.RuneCountInString(description) > 1024 {
			t.Fatalf("%d characters, %v", len(description), err)
		}
		gotText, gotStore, gotGUID, gotRevision, gotExpires, gotMade, ok := rancher.ReadRecord(description)
		if !ok || gotText != text || gotStore != store || gotGUID != guid || gotRevision != revision || !gotExpires.Equal(expires) || gotMade != made {
			t.Fatalf("%q is read as %q %q %q %d %s %t %t", description, gotText, gotStore, gotGUID, gotRevision, gotExpires, gotMade, ok)
		}
	})
}

// FuzzReadRecord: whatever a description is, its users' text is not lost.
func FuzzReadRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, description string) {
		text, store, guid, revision, expires, made, ok := rancher.ReadRecord(description)
		if !strings.HasPrefix(description, text) || !ok && text != description {
			t.Errorf("%q is read as the text %q", description, text)
		}
		if !ok {
			return
		}
		if again, err := rancher.Record(text, store, guid, revision, expires, made); err == nil && !strings.HasPrefix(again, text) {
			t.Errorf("%q is written again as %q", description, again)
		}
	})
}

// FuzzHostOf: a serverAddress means a host in canonical form, or none.
func FuzzHostOf(f *testing.F) {
	f.Fuzz(func(t *testing.T, serverAddress string) {
		host, ok := rancher.HostOf(serverAddress)
		if !ok {
			return
		}
		location, err := imageref.ParseLocation(host)
		if err != nil || location.String() != host {
			t.Errorf("%q is the host %q: %v", serverAddress, host, err)
		}
		if again, ok := rancher.HostOf("https://" + host + "/"); !ok || again != host {
			t.Errorf("%q as a URL is %q", host, again)
		}
	})
}
