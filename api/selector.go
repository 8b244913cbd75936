package api

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// requirement is one condition of a label selector.
type requirement struct {
	key string
	// negated selects what has no such label, or none of the values.
	negated bool
	// values are those that the label may have; nil means any.
	values []string
}

var (
	setRequirement   = regexp.MustCompile(`^(\S+)\s+(in|notin)\s*\(([^()]*)\)$`)
	equalRequirement = regexp.MustCompile(`^([^=!\s]+)\s*(==|=|!=)\s*(.*)$`)
)

// maxRequirements bounds a selector.
const maxRequirements = 50

// selectorOf reads the label selector of a query; none selects everything.
func selectorOf(q url.Values) ([]requirement, error) {
	if !q.Has("label_selector") {
		return nil, nil
	}
	return parseSelector(q.Get("label_selector"))
}

// parseSelector reads a label selector as Cloud Foundry's API v3 has it ("Labels and
// selectors"): KEY, !KEY, KEY=VALUE, KEY==VALUE, KEY!=VALUE, KEY in (VALUES) and KEY
// notin (VALUES), separated by commas.
func parseSelector(s string) ([]requirement, error) {
	var all []requirement
	for _, part := range splitSelector(s) {
		r, ok := parseRequirement(strings.TrimSpace(part))
		switch {
		case !ok:
			return nil, badQuery("Invalid label_selector value: write conditions such as env=prod, tier!=web, team in (a,b), release or !release, separated by commas")
		case len(all) == maxRequirements:
			return nil, badQuery(fmt.Sprintf("Too many label_selector requirements (maximum is %d)", maxRequirements))
		}
		all = append(all, r)
	}
	if all == nil {
		return nil, badQuery("Missing label_selector value")
	}
	return all, nil
}

// splitSelector splits at the commas outside of parentheses.
func splitSelector(s string) []string {
	depth := 0
	return strings.FieldsFunc(s+",", func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return r == ',' && depth <= 0
	})
}

func parseRequirement(s string) (requirement, bool) {
	if m := setRequirement.FindStringSubmatch(s); m != nil {
		r := requirement{key: m[1], negated: m[2] == "notin", values: []string{}}
		for value := range strings.SplitSeq(m[3], ",") {
			r.values = append(r.values, strings.TrimSpace(value))
		}
		return r, r.valid()
	}
	if m := equalRequirement.FindStringSubmatch(s); m != nil {
		r := requirement{key: m[1], negated: m[2] == "!=", values: []string{strings.TrimSpace(m[3])}}
		return r, r.valid()
	}
	key, negated := strings.CutPrefix(s, "!")
	r := requirement{key: strings.TrimSpace(key), negated: negated}
	return r, r.valid()
}

// valid reports whether there can be such labels at all.
func (r requirement) valid() bool {
	labels := map[string]*string{}
	for _, value := range r.values {
		labels[r.key] = &value
		if checkMetadata(labels, nil) != nil {
			return false
		}
	}
	labels[r.key] = nil
	return checkMetadata(labels, nil) == nil
}

// selects reports whether labels meet the requirement.
func (r requirement) selects(labels map[string]string) bool {
	value, ok := labels[r.key]
	return (ok && (r.values == nil || slices.Contains(r.values, value))) != r.negated
}
