package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/registry"
)

// kept returns the keys of the objects of statistics, without their prefix.
func kept(t *testing.T, b registry.Blobs) (keys []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), "statistics/", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(info.Key, "statistics/"))
	}
	return keys
}

// countDaily counts a pull of each tag a day, by a process that is started anew every day.
func countDaily(t *testing.T, m registry.Blobs, days int, tags ...string) {
	t.Helper()
	for range days {
		s := registry.NewStorage(m, registry.StorageOptions{})
		stop := keep(t, s)
		for _, tag := range tags {
			s.Count("acme/app", tag, registry.Counts{Pulls: 1, LastPulledAt: time.Now().UTC()})
		}
		stop()
		time.Sleep(day)
	}
}

// TestOldStatistics: months that are long over become one object each, which counts what
// their days did, but that tags which are gone count for their repository.
func TestOldStatistics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins on 2000-01-01
		m := newMemBlobs()
		s := registry.NewStorage(m, registry.StorageOptions{})
		pushImageOf(t, s, "acme/app", "stays", "config")
		countDaily(t, m, 60, "stays", "goes", "") // to 2000-02-29
		began := time.Now().Add(-60 * day)
		countDaily(t, m, 100-60, "stays")
		all := statistics(t, s, began, time.Now())
		if len(all) != 3 || all[1].Pulls != 60 || all[2].Pulls != 100 {
			t.Fatalf("%+v", all)
		}
		collect(t, s, registry.CollectOptions{DryRun: true})
		if n := len(kept(t, m)); n != 100 {
			t.Errorf("after a dry run there are %d objects", n)
		}
		collect(t, s, registry.CollectOptions{}) // 2000-04-10: January is over for 70 days
		if n := len(kept(t, m)); n != 100 {
			t.Errorf("too early: %d objects", n)
		}
		time.Sleep(30 * day)
		for range 2 {
			collect(t, s, registry.CollectOptions{}) // 2000-05-10
			keys := kept(t, m)
			if len(keys) != 100-31+1 || keys[0] != "2000-01/000001" || !strings.HasPrefix(keys[1], "2000-02-01/") {
				t.Errorf("%d objects, the first of them %q", len(keys), keys[:2])
			}
		}
		want := []registry.Statistic{
			{Repository: "acme/app", Counts: registry.Counts{Pulls: 60 + 31, LastPulledAt: all[0].LastPulledAt}},
			{Repository: "acme/app", Tag: "goes", Counts: registry.Counts{Pulls: 29, LastPulledAt: all[1].LastPulledAt}},
			all[2],
		}
		if diff := cmp.Diff(want, statistics(t, s, began, time.Now())); diff != "" {
			t.Error(diff)
		}
		// Part of an old month is all of it, and none of the next one.
		for _, span := range [][2]int{{0, 30}, {10, 10}, {30, 30}} {
			got := statistics(t, s, began.Add(time.Duration(span[0])*day), began.Add(time.Duration(span[1])*day))
			if len(got) != 2 || got[0].Pulls != 62 || got[1].Pulls != 31 {
				t.Errorf("days %v: %+v", span, got)
			}
		}
		if got := statistics(t, s, began.Add(31*day), began.Add(31*day)); len(got) != 3 || got[2].Pulls != 1 {
			t.Errorf("the first of February: %+v", got)
		}
	})
}

// stubborn is Blobs that delete nothing for a while, as one who is killed before.
type stubborn struct {
	registry.Blobs
	deletes bool
}

func (b *stubborn) Delete(ctx context.Context, key string, c registry.Condition) error {
	if !b.deletes {
		return errors.New("no")
	}
	return b.Blobs.Delete(ctx, key, c)
}

// TestOldStatisticsKilled: a day that is in its month and there still counts once.
func TestOldStatisticsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &stubborn{Blobs: newMemBlobs()}
		began := time.Now()
		countDaily(t, m, 31, "")
		time.Sleep(100 * day)
		s := registry.NewStorage(m, registry.StorageOptions{})
		if _, err := s.Collect(t.Context(), registry.CollectOptions{}); err == nil {
			t.Error("it does not say that days were not deleted")
		}
		m.deletes = true
		for _, left := range []int{32, 1} {
			if keys := kept(t, m); len(keys) != left {
				t.Errorf("objects %q", keys)
			}
			if got := statistics(t, s, began, time.Now()); len(got) != 1 || got[0].Pulls != 31 {
				t.Errorf("%+v", got)
			}
			collect(t, s, registry.CollectOptions{})
		}
	})
}

// TestOldStatisticsAtOnce: several processes add up the same, which is too much for one
// object, while others read it.
func TestOldStatisticsAtOnce(t *testing.T) {
	m := newMemBlobs()
	const days, names = 28, 1500
	for d := range days {
		var list []registry.Statistic
		for i := range names {
			list = append(list, registry.Statistic{Repository: fmt.Sprintf("r%d-%d", d, i), Counts: registry.Counts{Pulls: 1}})
		}
		data, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Put(t.Context(), fmt.Sprintf("statistics/2020-02-%02d/P-000001", d+1), data, registry.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	first := time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC)
	check := func() {
		if list := statistics(t, registry.NewStorage(m, registry.StorageOptions{}), first, first.Add(27*day)); len(list) != days*names {
			t.Errorf("%d are counted", len(list))
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s := registry.NewStorage(m, registry.StorageOptions{})
			if _, err := s.Collect(t.Context(), registry.CollectOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(check)
	wg.Wait()
	check()
	keys := kept(t, m)
	if len(keys) < 5 || len(keys) > 20 || keys[0] != "2020-02/000001" {
		t.Errorf("objects %q", keys)
	}
	for info, err := range m.List(t.Context(), "statistics/", "") {
		if err != nil || info.Size > registry.MaxSmall {
			t.Errorf("%+v, %v", info, err)
		}
	}
}
