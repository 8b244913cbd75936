package config

import (
	"strconv"
	"strings"
	"time"

	"regcred.dev"
)

// duration reads a duration as regcred.ParseDuration does. Nothing is 0; anything that is
// not positive is a problem.
func (p *parser) duration(key string, t text) time.Duration {
	if t.value == "" {
		return 0
	}
	d, ok := regcred.ParseDuration(t.value)
	if !ok {
		p.problem(t.line, "%s: write a duration such as 12h, 30m or 7d", key)
	}
	return d
}

// count reads a number above 0. Nothing is 0.
func (p *parser) count(key string, t text) int {
	if t.value == "" {
		return 0
	}
	n, err := strconv.ParseInt(t.value, 10, 32)
	if err != nil || n <= 0 {
		p.problem(t.line, "%s: write a number above 0", key)
		return 0
	}
	return int(n)
}

// units of sizes, longest suffix first.
var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// size reads a number of bytes such as 500, 20GB or 16MiB. Nothing is 0; anything
// that is not positive is a problem.
func (p *parser) size(key string, t text) int64 {
	if t.value == "" {
		return 0
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(t.value, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n <= 0 || n > (1<<62)/u.bytes {
			break
		}
		return n * u.bytes
	}
	p.problem(t.line, "%s: write a size such as 500MB, 20GB or 1TiB", key)
	return 0
}
