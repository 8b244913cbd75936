package regcred_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"90d": 90 * day, "2w": 14 * day, "1w3d": 10 * day, "1d12h": 36 * time.Hour, "1w1s": 7*day + time.Second, "0d5m": 5 * time.Minute,
		"12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "+30s": 30 * time.Second, "250ms": 250 * time.Millisecond,
		"106751d": 106751 * day, "15250w": 15250 * 7 * day,
		// Not these:
		"": 0, "0": 0, "0d": 0, "0w0d": 0, "-1h": 0, "-1d": 0, "+1d": 0, "1d-1h": 0, "1d+1h": 0, "d": 0, "w": 0, "1": 0, "1.5d": 0, "1d1w": 0, "1d1d": 0,
		"1 d": 0, " 1d": 0, "1d ": 0, "1D": 0, "1y": 0, "1M": 0, "soon": 0, "106752d": 0, "106751d24h": 0, "999999w": 0, "99999999d": 0, "9999999h": 0,
		"1d\n": 0, "１d": 0, "1d" + strings.Repeat("9", 400) + "h": 0,
	} {
		if got, ok := regcred.ParseDuration(s); got != want && ok || ok != (want > 0) {
			t.Errorf("%.20q: %s, %v, want %s", s, got, ok, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", 15 * time.Minute: "15m", time.Hour: "1h", 10 * time.Hour: "10h", 90 * time.Minute: "1h30m",
		time.Hour + time.Second: "1h0m1s", 24 * time.Hour: "1d", 36 * time.Hour: "1d12h", 720 * time.Hour: "30d", 1500 * time.Millisecond: "1.5s",
		24*time.Hour + time.Minute: "1d1m", 100 * time.Millisecond: "100ms",
	} {
		if got := regcred.FormatDuration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "unit")
		d := unit * time.Duration(rapid.Int64Range(1, math.MaxInt64/int64(unit)).Draw(t, "n"))
		if got, ok := regcred.ParseDuration(regcred.FormatDuration(d)); !ok || got != d {
			t.Fatalf("%d is written %s and read %d, %v", d, regcred.FormatDuration(d), got, ok)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"90d", "1w2d3h4m5s", "106751d23h47m16.854775807s", "-1d", "1d-1ns", "0d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := regcred.ParseDuration(s)
		if ok && d <= 0 {
			t.Errorf("%q is read as %s", s, d)
		}
		if again, also := regcred.ParseDuration(regcred.FormatDuration(d)); ok && (!also || again != d) {
			t.Errorf("%q is %d, and then %d", s, d, again)
		}
	})
}
