package registry

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRetentionDrops(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }
	const day = 24 * time.Hour
	tags := []taggedAt{
		{tag: "v1", writtenAt: ago(30)},
		{tag: "v2", writtenAt: ago(20), pulledAt: ago(2)},
		{tag: "main", writtenAt: ago(10)},
		{tag: "pr-2", writtenAt: ago(1)},
		{tag: "pr-1", writtenAt: ago(1)},
	}
	tests := []struct {
		name string
		keep Retention
		want []string // in order
	}{
		{"nothing is said", Retention{Untagged: day, History: 3}, nil},
		{"last", Retention{Last: 2}, []string{"main", "v1", "v2"}},
		{"last of equal age", Retention{Last: 1}, []string{"main", "pr-2", "v1", "v2"}},
		{"more than there are", Retention{Last: 9}, nil},
		{"within", Retention{Within: 10 * day}, []string{"v1"}},
		{"pulled within", Retention{Within: 2 * day}, []string{"main", "v1"}},
		{"not within", Retention{Within: day - 1}, []string{"main", "pr-1", "pr-2", "v1", "v2"}},
		{"patterns", Retention{Tags: []string{"v*", "main"}}, []string{"pr-1", "pr-2"}},
		{"malformed pattern", Retention{Tags: []string{"["}}, []string{"main", "pr-1", "pr-2", "v1", "v2"}},
		{"any of them", Retention{Last: 1, Within: 3 * day, Tags: []string{"main"}}, []string{"v1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.keep.drops(tags, now)
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("drops (-want +got): %s", diff)
			}
		})
	}
}

// TestFate looks at every stage that content with a marker can be in.
func TestFate(t *testing.T) {
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	const grace, over = time.Hour, time.Minute
	tests := []struct {
		name     string
		state    string
		age      time.Duration
		unlinked bool
		want     fate
	}{
		{"condemned just now", stateCondemned, 0, true, fateWaits},
		{"condemned by a clock ahead", stateCondemned, -grace, true, fateWaits},
		{"not for long enough", stateCondemned, grace - 1, true, fateWaits},
		{"for long enough", stateCondemned, grace, true, fateDeleted},
		{"linked since", stateCondemned, grace, false, fateSpared},
		{"linked since, not for long", stateCondemned, 0, false, fateSpared},
		{"being deleted", stateDeleting, over - 1, true, fateWaits},
		{"being deleted, gone", stateDeleting, over - 1, false, fateWaits},
		{"its collector was killed", stateDeleting, over, true, fateDeleted},
		{"its collector was killed after the content went", stateDeleting, over, false, fateSpared},
		{"spared", stateSpared, 0, true, fateNone},
		{"spared long ago", stateSpared, grace, true, fateForgotten},
		{"spared long ago, linked", stateSpared, grace, false, fateForgotten},
		{"damaged", "", grace, true, fateSpared},
	}
	for _, test := range tests {
		m := marker{State: test.state, At: began.Add(-test.age)}
		if got := m.fate(test.unlinked, began, grace, over); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
