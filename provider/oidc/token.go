package oidc

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/bearer"
	"regcred.dev/provider/internal/jwt"
)

// token is a token, and what is known of its end.
type token struct {
	value string
	// from is who gave it, for errors.
	from string
	// asked is when it was asked for, by this machine's clock.
	asked time.Time
	// lifetime is counted from then; 0 where nobody said it.
	lifetime time.Duration
	// skew is how far the clock of who gave it is ahead.
	skew time.Duration
}

// expiry returns when the token expires by this machine's clock: as its issuer
// said, or else the token itself, or else after fallback. One that lives for longer
// than a year counts as one of a year.
// Errors: Unavailable where none of these says it.
func (t token) expiry(fallback time.Duration) (time.Time, error) {
	longest := t.asked.Add(maxLifetime)
	if t.lifetime > 0 {
		return t.asked.Add(min(t.lifetime, maxLifetime)), nil
	}
	expires, err := jwt.ExpiryOf(t.value)
	switch {
	case err == nil && expires.Add(-t.skew).After(longest):
		return longest, nil
	case err == nil:
		return expires.Add(-t.skew), nil
	case fallback > 0:
		return t.asked.Add(fallback), nil
	}
	return time.Time{}, regcred.Errorf(regcred.Unavailable, "%s does not say when its token expires: %w. Where you know how long its tokens live, set %q", t.from, err, settingLifetime)
}

// maxExpiresIn bounds what makes sense in expires_in, in seconds: a hundred years.
const maxExpiresIn = 100 * 366 * 24 * 3600

// parseOAuth reads the answer of a token endpoint (RFC 6749, section 5.1, and RFC
// 8693, section 2.2.1). The token must be one that whoever has it may use, which
// is what a password can be. An error quotes nothing of it.
func parseOAuth(a web.Answer, from string, asked time.Time) (token, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		// A number, or as some write it a string.
		ExpiresIn json.Number `json:"expires_in"`
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil {
		return token{}, useless(from, "it is not the JSON of RFC 6749")
	}
	t := token{value: answer.AccessToken, from: from, asked: asked, skew: a.Skew}
	if !bearer.IsToken(t.value) {
		return token{}, useless(from, `its field "access_token" is empty, or no token`)
	}
	if !strings.EqualFold(answer.TokenType, "Bearer") && !strings.EqualFold(answer.TokenType, "N_A") {
		return token{}, useless(from, `its field "token_type" is neither Bearer nor N_A, so the token cannot be a password`)
	}
	if answer.ExpiresIn != "" {
		seconds, err := strconv.ParseInt(answer.ExpiresIn.String(), 10, 64)
		if err != nil || seconds <= 0 || seconds > maxExpiresIn {
			return token{}, useless(from, `its field "expires_in" is no number of seconds to come`)
		}
		t.lifetime = time.Duration(seconds) * time.Second
	}
	return t, nil
}

// parseQuay reads the answer of Quay's robot federation: {"token": JWT}.
func parseQuay(a web.Answer, from string, asked time.Time) (token, error) {
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil {
		return token{}, useless(from, "it is not the JSON that Quay documents")
	}
	if !bearer.IsToken(answer.Token) {
		return token{}, useless(from, `its field "token" is empty, or no token`)
	}
	return token{value: answer.Token, from: from, asked: asked, skew: a.Skew}, nil
}

func useless(from, why string) error {
	return regcred.Errorf(regcred.Unavailable, "%s answers with no token that can be used: %s", from, why)
}
