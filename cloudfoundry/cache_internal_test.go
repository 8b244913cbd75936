package cloudfoundry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

// TestCacheIsBounded: however many questions there are, no more than maxEntries answers
// are kept, and what is over goes first.
func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache[int, int]()
		asked := 0
		get := func(key int) {
			value, err := c.get(t.Context(), key, func(context.Context) answer[int] { asked++; return answer[int]{value: key} })
			if err != nil || value != key {
				t.Fatal(key, value, err)
			}
		}
		for n := range 2 * maxEntries {
			get(n)
		}
		if len(c.entries) > maxEntries || asked != 2*maxEntries {
			t.Errorf("%d entries, asked %d times", len(c.entries), asked)
		}
		time.Sleep(keepAnswer)
		for n := range maxEntries {
			get(-1 - n)
		}
		if len(c.entries) != maxEntries {
			t.Errorf("%d entries: some went before those that were over", len(c.entries))
		}
	})
}

func TestUntil(t *testing.T) {
	asked := time.Unix(1000, 0)
	given := asked.Add(10 * time.Second)
	for name, test := range map[string]struct {
		err     error
		nothing bool
		want    time.Time
	}{
		"an answer":               {nil, false, asked.Add(30 * time.Second)},
		"nothing":                 {nil, true, asked.Add(5 * time.Second)},
		"a failure":               {errors.New("broken"), false, given.Add(time.Second)},
		"unavailable":             {regcred.Errorf(regcred.Unavailable, "x"), true, given.Add(time.Second)},
		"throttled":               {regcred.ThrottledFor(20*time.Second, "x"), true, given.Add(20 * time.Second)},
		"throttled for long":      {regcred.ThrottledFor(time.Hour, "x"), true, given.Add(time.Minute)},
		"throttled without words": {regcred.ThrottledFor(0, "x"), true, given.Add(time.Second)},
	} {
		if got := until(asked, given, test.err, test.nothing); !got.Equal(test.want) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
