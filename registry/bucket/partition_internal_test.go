package bucket

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
)

func TestPartition(t *testing.T) {
	const mib, gib, tib = 1 << 20, 1 << 30, 1 << 40
	tests := []struct {
		size, want, part int64
	}{
		{0, 8 * mib, 8 * mib},
		{5 * gib, 8 * mib, 8 * mib},
		{10_000 * 8 * mib, 8 * mib, 8 * mib},
		{10_000*8*mib + 1, 8 * mib, 9 * mib},
		{100 * gib, 8 * mib, 11 * mib},
		{100 * gib, 64 * mib, 64 * mib},
		{tib, 8 * mib, 105 * mib},
		{5 * tib, 8 * mib, 525 * mib},
		{5 * tib, 5 * gib, 5 * gib},
	}
	for _, test := range tests {
		if part, err := partition(test.size, test.want); part != test.part || err != nil {
			t.Errorf("%d bytes in parts of %d: %d, %v; want %d", test.size, test.want, part, err, test.part)
		}
	}
	if _, err := partition(5*tib+1, 8*mib); regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("more than S3 takes: %v", err)
	}
}

func TestPartitionBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, maxObject).Draw(t, "size")
		want := rapid.Int64Range(minPart, maxPart).Draw(t, "want")
		part, err := partition(size, want)
		if err != nil || part < want || part > maxPart || (size+part-1)/part > maxParts {
			t.Fatalf("parts of %d, %v", part, err)
		}
	})
}

func TestBackoff(t *testing.T) {
	for attempt, mean := range map[int]time.Duration{1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 5: 3200 * time.Millisecond, 100: maxBackoff} {
		for range 100 {
			if wait := backoff(200*time.Millisecond, attempt, false); wait < mean/2 || wait > mean*3/2 {
				t.Errorf("attempt %d waits %s", attempt, wait)
			}
			if wait := backoff(200*time.Millisecond, attempt, true); wait < min(4*mean, maxBackoff)/2 {
				t.Errorf("attempt %d, throttled, waits %s", attempt, wait)
			}
		}
	}
}
