package api

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// timeFilter selects by a time, in whole seconds as the API shows them.
type timeFilter struct {
	at     []time.Time // nil: any
	bounds []timeBound
}

// timeBound is a bound, by one of the operators of Cloud Foundry's API v3.
type timeBound struct {
	operator string
	t        time.Time
}

// operators are the relational operators of timestamps: created_ats[gt]=TIME.
var operators = []string{"lt", "lte", "gt", "gte"}

// timeKeys returns the parameters of a filter by a time.
func timeKeys(key string) []string {
	keys := []string{key}
	for _, op := range operators {
		keys = append(keys, key+"["+op+"]")
	}
	return keys
}

// parseTimes reads a filter by a time: KEY=TIME,TIME... or KEY[OPERATOR]=TIME.
func parseTimes(q url.Values, key string) (timeFilter, error) {
	var f timeFilter
	if q.Has(key) {
		values, err := list(key, q.Get(key))
		if err != nil {
			return f, err
		}
		for _, s := range values {
			t, err := parseTime(key, s)
			if err != nil {
				return f, err
			}
			f.at = append(f.at, t)
		}
	}
	for _, op := range operators {
		name := key + "[" + op + "]"
		if !q.Has(name) {
			continue
		}
		if strings.Contains(q.Get(name), ",") {
			return f, badQuery(human(key) + " only accepts one value when using a relational operator")
		}
		t, err := parseTime(key, q.Get(name))
		if err != nil {
			return f, err
		}
		f.bounds = append(f.bounds, timeBound{op, t})
	}
	return f, nil
}

// timeLayout is how Cloud Foundry's API writes times.
const timeLayout = "2006-01-02T15:04:05Z"

func parseTime(key, s string) (time.Time, error) {
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		return t, badQuery(human(key) + " has an invalid timestamp format. Timestamps should be formatted as 'YYYY-MM-DDThh:mm:ssZ'")
	}
	return t, nil
}

func (f timeFilter) selects(t time.Time) bool {
	t = seconds(t)
	if f.at != nil && !slices.ContainsFunc(f.at, t.Equal) {
		return false
	}
	for _, b := range f.bounds {
		c := t.Compare(b.t)
		ok := map[string]bool{"lt": c < 0, "lte": c <= 0, "gt": c > 0, "gte": c >= 0}[b.operator]
		if !ok {
			return false
		}
	}
	return true
}
