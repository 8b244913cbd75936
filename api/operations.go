package api

import (
	"net/http"
	"net/url"
	"time"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
	"regcred.dev/service"
)

// scopeKeys name a scope in a query.
var scopeKeys = []string{"organization", "space", "app"}

// scopeOf reads a scope from a query that may have more parameters.
func scopeOf(q url.Values, more ...string) (regcred.Scope, error) {
	if err := knownQuery(q, append(more, scopeKeys...)...); err != nil {
		return regcred.Scope{}, err
	}
	for _, key := range scopeKeys {
		if q.Has(key) && q.Get(key) == "" {
			return regcred.Scope{}, badQuery(key + " is empty: leave it out where the scope is wider")
		}
	}
	return regcred.Scope{Org: q.Get("organization"), Space: q.Get("space"), App: q.Get("app")}, nil
}

func (h *handler) resolve(r call) (answer, error) {
	q := r.URL.Query()
	scope, err := scopeOf(q, "image")
	if err != nil {
		return answer{}, err
	}
	if scope, err = h.Service.Locate(r.Context(), r.caller, scope); err != nil {
		return answer{}, err
	}
	ex, err := h.Service.Resolve(r.Context(), r.caller, q.Get("image"), scope)
	if err != nil {
		return answer{}, err
	}
	out := client.Resolution{Image: ex.Image.String(), Why: ex.Why}
	for _, l := range ex.Image.Candidates() {
		out.Candidates = append(out.Candidates, l.String())
	}
	if e := ex.Match.Entry; e != nil {
		out.Match = &client.Match{GUID: e.GUID, Location: e.Location.String(), Scope: e.Scope.String()}
		if e.Login != nil {
			out.Match.Username = e.Login.Username
		}
		if _, err := ex.Match.Login(time.Now(), ex.Image); err != nil {
			out.Problem = regcred.MessageOf(err)
		}
	}
	return answer{status: http.StatusOK, body: out}, nil
}

func (h *handler) dockerConfig(r call) (answer, error) {
	q := r.URL.Query()
	scope, err := scopeOf(q, "for", "broaden")
	if err != nil {
		return answer{}, err
	}
	name := q.Get("for")
	if name == "" {
		name = string(keyring.Docker)
	}
	dialect, err := keyring.ParseDialect(name)
	if err != nil {
		return answer{}, badQuery(err.Error())
	}
	broaden, err := boolean(q, "broaden")
	if err != nil {
		return answer{}, err
	}
	rendering, err := h.Service.DockerConfig(r.Context(), r.caller, scope, dialect, keyring.RenderOptions{Broaden: broaden})
	if err != nil {
		return answer{}, err
	}
	data, err := rendering.DockerConfig()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: client.DockerConfig{Config: data, Omitted: omissions(rendering.Omitted)}}, nil
}

func (h *handler) status(r call) (answer, error) {
	st, err := h.Service.Status(r.Context(), r.caller)
	if err != nil {
		return answer{}, err
	}
	out := client.Status{
		Version: st.Version, URL: h.PublicURL.String(), LocalURL: h.LocalURL, StoreID: st.StoreID, Revision: st.Revision, Current: st.Current,
		Credentials: st.Credentials, NextRenewal: optional(st.NextRenewal),
		Problems: []client.LoginProblem{}, Rotations: []client.Rotation{}, Issuers: []client.Issuer{}, Targets: []client.Target{},
		Images: images(st.Images),
	}
	for _, p := range st.Problems {
		out.Problems = append(out.Problems, problem(p))
	}
	for _, r := range st.Rotations {
		out.Rotations = append(out.Rotations, client.Rotation{
			GUID: r.GUID, Location: r.Location.String(), Scope: r.Scope.String(), By: seconds(r.By),
		})
	}
	for _, i := range st.Issuers {
		out.Issuers = append(out.Issuers, client.Issuer{
			Provider: i.Provider, Issuer: i.Issuer, Credentials: i.Credentials, Down: i.Down,
			ThrottledUntil: optional(i.ThrottledUntil),
		})
	}
	for _, t := range st.Targets {
		out.Targets = append(out.Targets, target(t))
	}
	return answer{status: http.StatusOK, body: out}, nil
}

func problem(p service.LoginProblem) client.LoginProblem {
	return client.LoginProblem{
		GUID: p.GUID, Location: p.Location.String(), Scope: p.Scope.String(), Provider: p.Provider,
		Error: p.Error, Failures: p.Failures, ExpiresAt: optional(p.ExpiresAt), GapAt: optional(p.GapAt),
	}
}

func target(t deliver.Status) client.Target {
	out := client.Target{
		Name: t.Name, Kind: t.Kind, Scope: t.Scope, Revision: t.Revision, SyncedAt: optional(t.SyncedAt),
		Delivered: t.Delivered, EarliestExpiry: optional(t.EarliestExpiry), Omitted: omissions(t.Omitted),
		Warnings: append([]string{}, t.Warnings...), Held: t.Alarm(), Error: t.Error,
	}
	if t.WatchError != "" {
		out.Warnings = append(out.Warnings, t.WatchError)
	}
	return out
}

func omissions(list []keyring.Omission) []client.Omission {
	out := []client.Omission{}
	for _, o := range list {
		out = append(out, client.Omission{
			GUID: o.GUID, Location: o.Location.String(), Scope: o.Scope.String(), Reason: o.Reason,
		})
	}
	return out
}

func (h *handler) confirmTarget(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, "name"); err != nil {
		return answer{}, err
	}
	if err := h.Service.ConfirmTarget(r.Context(), r.caller, q.Get("name")); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

func (h *handler) listTokens(r call) (answer, error) {
	page, perPage, err := onlyPaging(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	tokens, err := h.Service.ListTokens(r.Context(), r.caller)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: paged(h, r.URL, tokens, tokenResource, page, perPage)}, nil
}

func (h *handler) createToken(r call) (answer, error) {
	var in client.TokenRequest
	if err := decode(r, &in); err != nil {
		return answer{}, err
	}
	if err := in.Relationships.Validate(); err != nil {
		return answer{}, err
	}
	var expires time.Time
	if in.Lifetime != "" {
		d, ok := regcred.ParseDuration(in.Lifetime)
		if !ok {
			return answer{}, regcred.Errorf(regcred.Invalid, "Lifetime must be a duration such as 90d or 12h")
		}
		expires = time.Now().Add(d)
	}
	t, secret, err := h.Service.CreateToken(r.Context(), r.caller, regcred.APIToken{
		Name: in.Name, Role: regcred.Role(in.Role), Scope: in.Relationships.Scope(), Repositories: in.Repositories, ExpiresAt: expires,
	})
	if err != nil {
		return answer{}, err
	}
	out := tokenResource(t)
	out.Secret = secret.Reveal()
	return answer{status: http.StatusCreated, body: out}, nil
}

func (h *handler) deleteToken(r call) (answer, error) {
	if err := h.Service.DeleteToken(r.Context(), r.caller, r.PathValue("id")); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

func tokenResource(t regcred.APIToken) client.Token {
	return client.Token{
		ID: t.ID, Name: t.Name, Role: string(t.Role), Scope: t.Scope.String(), Repositories: append([]string{}, t.Repositories...),
		CreatedAt: seconds(t.CreatedAt), ExpiresAt: optional(t.ExpiresAt), LastUsedAt: optional(t.LastUsedAt),
	}
}
