package github

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/bearer"
)

// apiVersion is the version of GitHub's REST API that is spoken.
const apiVersion = "2022-11-28"

// client asks GitHub's API for one mint.
type client struct {
	web      *web.Client
	settings settings

	// skew is how far GitHub's clock is ahead, as far as that matters to the JWTs.
	skew time.Duration
	// proof is the JWT that was sent last, to be kept out of errors.
	proof string
}

// tokenRequest is the body of "Create an installation access token for an app".
type tokenRequest struct {
	Repositories []string    `json:"repositories,omitempty"`
	Permissions  permissions `json:"permissions"`
}

type permissions struct {
	Packages string `json:"packages"`
}

// token obtains a token of an installation, and when it expires by this machine's
// clock.
func (c *client) token(ctx context.Context, installation string) (regcred.Secret, time.Time, error) {
	asked := tokenRequest{Repositories: c.settings.repositories, Permissions: permissions{Packages: "read"}}
	if c.settings.push {
		asked.Permissions.Packages = "write"
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return regcred.Secret{}, time.Time{}, err
	}
	answer, err := c.do(ctx, http.MethodPost, "/app/installations/"+installation+"/access_tokens", body)
	if err != nil {
		return regcred.Secret{}, time.Time{}, err
	}
	if err := c.refusal(answer, time.Now()); err != nil {
		return regcred.Secret{}, time.Time{}, err
	}
	token, expires, err := parseToken(answer.Body)
	if expires = expires.Add(-answer.Skew); err == nil {
		err = bearer.CheckExpiry(expires, time.Now())
	}
	if err != nil {
		return regcred.Secret{}, time.Time{}, regcred.Errorf(regcred.Unavailable, "%s answers with no token that can be used: %w", c.settings.api, err)
	}
	return token, expires, nil
}

// installation returns the number of the app's installation: that of the
// settings, or the one at their owner, as an organization or else a user.
func (c *client) installation(ctx context.Context) (string, error) {
	if c.settings.installation != "" {
		return c.settings.installation, nil
	}
	answer, err := c.do(ctx, http.MethodGet, "/orgs/"+c.settings.owner+"/installation", nil)
	if err == nil && answer.Status == http.StatusNotFound {
		answer, err = c.do(ctx, http.MethodGet, "/users/"+c.settings.owner+"/installation", nil)
	}
	if err != nil {
		return "", err
	}
	if err := c.refusal(answer, time.Now()); err != nil {
		return "", err
	}
	var found struct {
		ID uint64 `json:"id"`
	}
	if err := json.Unmarshal(answer.Body, &found); err != nil || found.ID == 0 {
		return "", regcred.Errorf(regcred.Unavailable, "%s answers with no installation that can be used", c.settings.api)
	}
	return strconv.FormatUint(found.ID, 10), nil
}

// do sends a request as the app. A refusal by a server whose clock differs from
// this machine's is tried once more with a JWT that has times by that clock.
func (c *client) do(ctx context.Context, method, path string, body []byte) (web.Answer, error) {
	answer, err := c.send(ctx, method, path, body)
	if err == nil && answer.Status == http.StatusUnauthorized && answer.Skew != c.skew {
		c.skew = answer.Skew
		answer, err = c.send(ctx, method, path, body)
	}
	return answer, err
}

func (c *client) send(ctx context.Context, method, path string, body []byte) (web.Answer, error) {
	var err error
	if c.proof, err = signJWT(c.settings.app, c.settings.key, time.Now().Add(c.skew)); err != nil {
		return web.Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.settings.api+path, bytes.NewReader(body))
	if err != nil {
		return web.Answer{}, regcred.Errorf(regcred.Invalid, "the URL of GitHub's API makes no sense")
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("Authorization", "Bearer "+c.proof)
	req.Header.Set("X-Github-Api-Version", apiVersion)
	req.Header.Set("User-Agent", "regcred")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.web.Do(req)
}
