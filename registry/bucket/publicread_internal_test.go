package bucket

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddPublicRead(t *testing.T) {
	const ours = `{"Sid":"RegcredPublicRead","Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":`
	const other = `{"Sid":"Other","Effect":"Deny","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`
	for _, test := range []struct {
		name, policy, want string // "" means unchanged
	}{
		{"none", "", `{"Version":"2012-10-17","Statement":[` + ours + `["arn:b/v2/*"]}]}`},
		{"there", `{"Statement":[` + other + `,` + ours + `["arn:b/v2/*"]}]}`, ""},
		{"there, by itself", `{"Statement":` + ours + `"arn:b/v2/*"}}`, ""},
		{"as S3 returns it", `{"Statement":[{"Sid":"RegcredPublicRead","Effect":"Allow","Principal":{"AWS": "*"},"Action":"s3:GetObject","Resource":"arn:b/v2/*"}]}`, ""},
		{"another resource", `{"Version":"2012-10-17","Statement":[` + ours + `"arn:b/app/*"}]}`,
			`{"Version":"2012-10-17","Statement":[` + ours + `["arn:b/app/*","arn:b/v2/*"]}]}`},
		{"others stay", `{"Version":"2008-10-17","Id":"x","Statement":` + other + `}`,
			`{"Version":"2008-10-17","Id":"x","Statement":[` + other + `,` + ours + `["arn:b/v2/*"]}]}`},
		{"a condition narrows it", `{"Version":"2012-10-17","Statement":[` + ours + `["arn:b/v2/*"],"Condition":{"Bool":{}}}]}`,
			`{"Version":"2012-10-17","Statement":[` + ours + `["arn:b/v2/*"],"Condition":{"Bool":{}}},` + ours + `["arn:b/v2/*"]}]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, changed, err := addPublicRead(test.policy, "arn:b/v2/*")
			if err != nil || changed != (test.want != "") {
				t.Fatalf("changed %t, error %v", changed, err)
			}
			if !changed {
				test.want = test.policy
			}
			if diff := cmp.Diff(decoded(t, test.want), decoded(t, got)); diff != "" {
				t.Error(diff)
			}
			again, changed, err := addPublicRead(got, "arn:b/v2/*")
			if err != nil || changed || again != got {
				t.Errorf("once more: changed %t to %s, error %v", changed, again, err)
			}
		})
	}
	for _, policy := range []string{"{", "[]", "null", `{"Statement":1}`, `{"Statement":[{"Sid":"RegcredPublicRead","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":{}}]}`} {
		if got, changed, err := addPublicRead(policy, "arn:b/v2/*"); err == nil {
			t.Errorf("%s: %s, %t", policy, got, changed)
		}
	}
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// FuzzAddPublicRead adds to policies that others wrote: what they say stays, and adding
// once more changes nothing.
func FuzzAddPublicRead(f *testing.F) {
	f.Add(`{"Statement":{"Sid":"RegcredPublicRead","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:b/app/*"}}`)
	f.Fuzz(func(t *testing.T, policy string) {
		got, changed, err := addPublicRead(policy, "arn:b/v2/*")
		if err != nil {
			return
		}
		again, twice, err := addPublicRead(got, "arn:b/v2/*")
		if err != nil || twice || again != got {
			t.Fatalf("%s, added to once more: %t, %s, %v", got, twice, again, err)
		}
		if !changed {
			if got != policy {
				t.Fatalf("unchanged, it is %s", got)
			}
			return
		}
		before, after := document{}, document{}
		if policy != "" && json.Unmarshal([]byte(policy), &before) != nil || json.Unmarshal([]byte(got), &after) != nil {
			t.Fatalf("%s is no policy", got)
		}
		for name := range before {
			if _, ok := after[name]; !ok {
				t.Fatalf("%s lost %q", got, name)
			}
		}
		old, err := list[document](before["Statement"])
		if err != nil {
			t.Fatal(err)
		}
		statements, err := list[document](after["Statement"])
		if err != nil || len(statements) < len(old) || len(statements) > len(old)+1 {
			t.Fatalf("%d statements of %d in %s, %v", len(statements), len(old), got, err)
		}
	})
}
