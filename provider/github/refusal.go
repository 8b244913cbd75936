package github

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/said"
)

// refusal returns nil for a success, and else what GitHub's answer means, in
// words. now is when it came.
func (c *client) refusal(a web.Answer, now time.Time) error {
	// Errors are documented as {"message", "documentation_url", ...}; what is not
	// JSON has no message.
	var body struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(a.Body, &body)
	message := said.Text(body.Message, c.settings.keyText, c.proof)

	if wait, limited := limited(a, message, now); limited {
		return regcred.ThrottledFor(wait, "%s asks to be asked less often (status %d): %s", c.settings.api, a.Status, message)
	}
	if a.Status == http.StatusUnprocessableEntity {
		return regcred.Errorf(regcred.Denied, "%s refuses (status 422): %s", c.settings.api, c.explain(a, message))
	}
	return a.Err(c.explain(a, message))
}

// explain adds what to do to what GitHub said.
func (c *client) explain(a web.Answer, message string) string {
	advice := ""
	switch {
	case a.Status == http.StatusUnauthorized && strings.Contains(message, "claim"):
		advice = "compare this machine's clock with GitHub's"
	case a.Status == http.StatusUnauthorized:
		advice = "is " + settingPrivateKey + " a key of app " + c.settings.app + " that was not deleted, and is this machine's clock right?"
	case a.Status == http.StatusForbidden && strings.Contains(message, "suspended"):
		advice = "who owns the installation has to unsuspend it"
	case a.Status == http.StatusNotFound:
		advice = "app " + c.settings.app + " has no installation " + c.settings.installation + c.settings.owner + ": was it uninstalled, or is it another app's?"
	case a.Status == http.StatusUnprocessableEntity:
		advice = "give the app the permission Packages, let its installation accept that, and cover the repositories that " + settingRepositories + " names"
	}
	if message == "" || advice == "" {
		return message + advice
	}
	return message + " (" + advice + ")"
}

// A secondary limit that says nothing of when to come back asks for a minute; the
// primary one is renewed each hour.
const (
	leastWait = time.Minute
	mostWait  = time.Hour
)

// limited reports whether an answer is one of GitHub's rate limits, and how long
// to wait ("Rate limits for the REST API"): a 403 or 429 with Retry-After, or with
// nothing left until x-ratelimit-reset, in seconds since 1970 by GitHub's clock,
// or that names the secondary limit.
func limited(a web.Answer, message string, now time.Time) (time.Duration, bool) {
	if a.Status != http.StatusForbidden && a.Status != http.StatusTooManyRequests {
		return 0, false
	}
	if wait := web.RetryAfter(a.Header, now); wait > 0 {
		return wait, true
	}
	if a.Header.Get("X-Ratelimit-Remaining") == "0" {
		reset, err := strconv.ParseInt(a.Header.Get("X-Ratelimit-Reset"), 10, 64)
		if err != nil {
			return leastWait, true
		}
		return min(max(time.Unix(reset, 0).Sub(now.Add(a.Skew)), time.Second), mostWait), true
	}
	return leastWait, a.Status == http.StatusTooManyRequests || strings.Contains(message, "rate limit")
}
