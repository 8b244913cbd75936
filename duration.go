package regcred

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour
	// maxDays is how many a time.Duration has room for.
	maxDays = int(math.MaxInt64 / int64(day))
)

// daysAndRest are the weeks, the days and the rest of a duration.
var daysAndRest = regexp.MustCompile(`^(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?(.*)$`)

// ParseDuration reads a duration as users write it everywhere: as Go does, with weeks and
// days of 24 hours in front where they are wanted ("90d", "2w", "1d12h"). It reports false
// for anything else, and what is not positive.
func ParseDuration(s string) (time.Duration, bool) {
	parts := daysAndRest.FindStringSubmatch(s)
	if parts == nil {
		return 0, false
	}
	weeks, _ := strconv.Atoi(parts[1]) // "" is none
	days, _ := strconv.Atoi(parts[2])
	if days += 7 * weeks; days > maxDays {
		return 0, false
	}
	d, rest := time.Duration(days)*day, parts[3]
	if rest == s || rest != "" && rest[0] != '-' && rest[0] != '+' {
		more, err := time.ParseDuration(rest)
		if d += more; err != nil || d < more {
			return 0, false
		}
		rest = ""
	}
	return d, d > 0 && rest == ""
}

// FormatDuration writes a duration as ParseDuration reads it, at its shortest: "90d",
// "1d12h", "15m".
func FormatDuration(d time.Duration) string {
	if d < day {
		return trimZeros(d)
	}
	text := fmt.Sprintf("%dd", d/day)
	if d %= day; d > 0 {
		text += trimZeros(d)
	}
	return text
}

// trimZeros writes "12h" for the "12h0m0s" of Go.
func trimZeros(d time.Duration) string {
	s := d.String()
	if d%time.Minute == 0 && d != 0 {
		s = strings.TrimSuffix(s, "0s")
	}
	if d%time.Hour == 0 && d != 0 {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
