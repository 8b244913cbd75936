package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// run asks everything.
func (q *inquiry) run(ctx context.Context) error {
	hello, err := q.hello(ctx)
	if err != nil {
		return err
	}
	ask, err := q.whatIsAsked(ctx, hello)
	if err != nil {
		return err
	}
	if ask.scheme == "bearer" {
		return q.withToken(ctx, ask)
	}
	return q.withBasic(ctx)
}

// hello asks for /v2/ without a login: is it a registry, and does it want a login?
// It settles on https or http.
func (q *inquiry) hello(ctx context.Context) (web.Answer, error) {
	answer, err := q.ask(ctx, request{method: http.MethodGet, url: q.base + "/v2/"})
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	if (noTLS || errors.Is(err, http.ErrSchemeMismatch)) && q.prober.plainHTTP(q.host) {
		q.base = "http://" + q.host
		answer, err = q.ask(ctx, request{method: http.MethodGet, url: q.base + "/v2/"})
	}
	if err != nil {
		return web.Answer{}, err
	}
	q.report.Skew = answer.Skew
	switch status := answer.Status; {
	case status == http.StatusUnauthorized, status == http.StatusOK && !isPage(answer):
		return answer, nil
	case status < 300, status >= 400 && status < 500 && status != http.StatusTooManyRequests:
		return web.Answer{}, q.noRegistry(answer)
	}
	return web.Answer{}, answer.Err("asked for /v2/")
}

// noRegistry explains an answer to /v2/ that no registry gives.
func (q *inquiry) noRegistry(answer web.Answer) error {
	page := ""
	if isPage(answer) {
		page = " and a web page"
	}
	return regcred.Errorf(regcred.Invalid,
		"%s is no registry, or not one for this server: to /v2/, which every registry has, it answers with status %d%s; check the location's host and port",
		q.host, answer.Status, page)
}

// isPage reports whether an answer is for people: there are sites that answer to
// every path.
func isPage(answer web.Answer) bool {
	kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return err == nil && kind == "text/html"
}

// whatIsAsked returns the challenge to answer, the zero one where there is none. A
// repository may have a challenge of its own, with the scope that it needs; that of
// /v2/ is for nothing in particular, and clients leave it out.
func (q *inquiry) whatIsAsked(ctx context.Context, hello web.Answer) (challenge, error) {
	ask, err := q.choose(hello)
	if err != nil || q.repository == "" || ask.scheme == "basic" {
		q.report.Anonymous = err == nil && ask.scheme == ""
		return ask, err
	}
	answer, err := q.ask(ctx, q.manifest())
	if err != nil {
		return challenge{}, err
	}
	if answer.Status == http.StatusUnauthorized {
		ask, err = q.choose(answer)
		q.scope = cmp.Or(ask.params["scope"], q.scope)
		return ask, err
	}
	q.report.Anonymous = ask.scheme == ""
	return ask, nil
}

// choose returns the challenge of an answer that is met here: Bearer, else Basic. It
// notes where who answered stands.
func (q *inquiry) choose(answer web.Answer) (challenge, error) {
	if answer.Status == http.StatusOK {
		return challenge{}, nil
	}
	q.from = reachOf(answer.Remote, q.host)
	challenges := parseChallenges(answer.Header.Values("WWW-Authenticate"))
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range challenges {
			if c.scheme == scheme {
				return c, nil
			}
		}
	}
	return challenge{}, regcred.Errorf(regcred.Unavailable,
		"%s asks for a login, but neither by Basic nor by Bearer, as registries do (its WWW-Authenticate header is missing, malformed or of another kind)", q.host)
}

// withBasic sends the login to the registry itself.
func (q *inquiry) withBasic(ctx context.Context) error {
	answer, err := q.ask(ctx, request{method: http.MethodGet, url: q.base + "/v2/", login: &q.login})
	if err != nil {
		return err
	}
	if err := q.judge(answer, q.host); err != nil {
		return err
	}
	q.report.Accepted = true
	return q.pull(ctx, regcred.Secret{})
}

// withToken sends the login to the registry's token service, and the token that it
// hands out to the registry.
func (q *inquiry) withToken(ctx context.Context, ask challenge) error {
	realm, err := q.prober.realm(ask.params["realm"], q.from, strings.HasPrefix(q.base, "http://"))
	if err != nil {
		return err
	}
	token, err := q.token(ctx, realm, ask.params["service"])
	if err != nil {
		return err
	}
	q.report.Accepted = true
	if q.repository != "" {
		return q.pull(ctx, token)
	}
	answer, err := q.ask(ctx, request{method: http.MethodGet, url: q.base + "/v2/", token: token})
	if err != nil {
		return err
	}
	if answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden {
		q.report.Accepted = false
		return regcred.Errorf(regcred.Denied, "%s does not accept the token that %s hands out for the login (status %d)%s",
			q.host, realm.Host, answer.Status, q.hints(answer, token))
	}
	return answer.Err("")
}

// pull asks for a manifest of the repository, if one was named.
func (q *inquiry) pull(ctx context.Context, token regcred.Secret) error {
	if q.repository == "" {
		return nil
	}
	authorized := func(r request) request {
		r.token = token
		if token.IsZero() {
			r.login = &q.login
		}
		return r
	}
	answer, err := q.ask(ctx, authorized(q.manifest()))
	if err != nil {
		return err
	}
	switch answer.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return q.mayNotPull(answer, token)
	case http.StatusNotFound:
		// The manifest is not there, which an authorized client alone is told; or the
		// repository is not. Some registries want another right for the list.
		answer, err = q.ask(ctx, authorized(request{method: http.MethodGet, url: q.base + "/v2/" + q.repository + "/tags/list?n=1"}))
		if err != nil {
			return err
		}
		if answer.Status == http.StatusNotFound {
			return regcred.Errorf(regcred.NotFound, "%s accepts the login, but has no repository %s, or does not let the login see it", q.host, q.repository)
		}
		if answer.Status != http.StatusUnauthorized && answer.Status != http.StatusForbidden {
			err = answer.Err("")
		}
	default:
		err = answer.Err("")
	}
	q.report.Pull = err == nil
	return err
}

// manifestTypes are all that a manifest may be.
const manifestTypes = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*"

// manifest asks for one by HEAD, which Docker Hub does not count as a pull.
func (q *inquiry) manifest() request {
	to := q.base + "/v2/" + q.repository + "/manifests/" + url.PathEscape(q.reference)
	return request{method: http.MethodHead, url: to, accept: manifestTypes}
}
