package probe

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// judge returns an error where who was asked with the login does not take it.
func (q *inquiry) judge(answer web.Answer, asked string) error {
	switch answer.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return regcred.Errorf(regcred.Denied, "%s refuses the login (status %d)%s", asked, answer.Status, q.hints(answer, regcred.Secret{}))
	}
	return answer.Err("")
}

// mayNotPull explains a refusal of the repository.
func (q *inquiry) mayNotPull(answer web.Answer, token regcred.Secret) error {
	return regcred.Errorf(regcred.Denied, "%s accepts the login, but it may not pull %s (status %d): its owner has to grant that, or the name is wrong%s",
		q.host, q.repository, answer.Status, q.hints(answer, token))
}

// hints says what else may be the reason for a refusal: times.
func (q *inquiry) hints(answer web.Answer, token regcred.Secret) string {
	var hints []string
	if q.login.Expired(time.Now()) {
		hints = append(hints, "the login expired at "+shown(q.login.ExpiresAt))
	}
	if answer.Skew != 0 {
		hints = append(hints, "its clock is "+apart(answer.Skew)+" this machine's")
	}
	// What counts for a token is the clock of who refused it.
	if now, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		switch from, to := validity(token.Reveal()); {
		case from.Sub(now) > time.Second:
			hints = append(hints, "the token is not valid there before "+shown(from)+": its issuer's clock is ahead")
		case !to.IsZero() && !to.After(now):
			hints = append(hints, "the token is not valid there after "+shown(to)+": its issuer's clock is behind")
		}
	}
	if len(hints) == 0 {
		return ""
	}
	return "; " + strings.Join(hints, "; ")
}

// apart says how two clocks differ, to the second.
func apart(skew time.Duration) string {
	if skew < 0 {
		return fmt.Sprintf("%s behind", (-skew).Round(time.Second))
	}
	return fmt.Sprintf("%s ahead of", skew.Round(time.Second))
}

func shown(t time.Time) string { return t.UTC().Format(time.RFC3339) }
