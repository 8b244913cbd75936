package api

import (
	"net/http"
	"net/url"
	"time"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/service"
)

func (h *handler) createCredential(r call) (answer, error) {
	var in client.CreateRequest
	if err := decode(r, &in); err != nil {
		return answer{}, err
	}
	if in.Relationships.App != nil {
		return answer{}, regcred.Errorf(regcred.Invalid, "Relationships Unknown field(s): 'app'. An app's credential comes from its pushes")
	}
	return h.create(r, in)
}

// createAppCredential is the admin's door for credentials of an app, which
// /v3/registry_credentials does not take.
func (h *handler) createAppCredential(r call) (answer, error) {
	var in client.CreateRequest
	if err := decode(r, &in); err != nil {
		return answer{}, err
	}
	if in.Relationships.App == nil {
		return answer{}, regcred.Errorf(regcred.Invalid, "relationships.app is missing")
	}
	return h.create(r, in)
}

func (h *handler) create(r call, in client.CreateRequest) (answer, error) {
	if err := in.Relationships.Validate(); err != nil {
		return answer{}, err
	}
	if err := checkMetadata(given(in.Metadata)); err != nil {
		return answer{}, err
	}
	c, err := h.Service.CreateCredential(r.Context(), r.caller, service.NewCredential{
		Scope:       in.Relationships.Scope(),
		Location:    in.Location,
		Username:    in.Username,
		Password:    regcred.NewSecret(in.Password),
		Provider:    in.Provider,
		Settings:    secrets(in.Settings),
		Labels:      labels(in.Metadata),
		Annotations: annotations(in.Metadata),
	})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: h.resource(c)}, nil
}

func (h *handler) getCredential(r call) (answer, error) {
	c, err := h.Service.Get(r.Context(), r.caller, r.PathValue("guid"))
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: h.resource(c)}, nil
}

func (h *handler) updateCredential(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, "check", "revoke"); err != nil {
		return answer{}, err
	}
	check, err := boolean(q, "check")
	if err != nil {
		return answer{}, err
	}
	revoke, err := boolean(q, "revoke")
	if err != nil {
		return answer{}, err
	}
	var in client.UpdateRequest
	if err := decode(r, &in); err != nil {
		return answer{}, err
	}
	up := service.CredentialUpdate{
		Username: in.Username, Settings: changes(in.Settings),
		Check: check, Revoke: revoke,
	}
	if in.Metadata != nil {
		up.Labels, up.Annotations = in.Metadata.Labels, in.Metadata.Annotations
	}
	if err := checkMetadata(up.Labels, up.Annotations); err != nil {
		return answer{}, err
	}
	if in.Password != nil {
		password := regcred.NewSecret(*in.Password)
		up.Password = &password
	}
	c, err := h.Service.Update(r.Context(), r.caller, r.PathValue("guid"), up)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: h.resource(c)}, nil
}

func (h *handler) deleteCredential(r call) (answer, error) {
	if err := h.Service.Delete(r.Context(), r.caller, r.PathValue("guid")); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

func (h *handler) refreshCredential(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, "revoke"); err != nil {
		return answer{}, err
	}
	revoke, err := boolean(q, "revoke")
	if err != nil {
		return answer{}, err
	}
	c, err := h.Service.Refresh(r.Context(), r.caller, r.PathValue("guid"), revoke)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: h.resource(c)}, nil
}

func secrets(m map[string]string) map[string]regcred.Secret {
	if m == nil {
		return nil
	}
	out := make(map[string]regcred.Secret, len(m))
	for k, v := range m {
		out[k] = regcred.NewSecret(v)
	}
	return out
}

// changes are settings of which nil removes one.
func changes(m map[string]*string) map[string]*regcred.Secret {
	out := make(map[string]*regcred.Secret, len(m))
	for k, v := range m {
		out[k] = nil
		if v != nil {
			secret := regcred.NewSecret(*v)
			out[k] = &secret
		}
	}
	return out
}

func labels(m *client.Metadata) map[string]string {
	if m == nil {
		return nil
	}
	return m.Labels
}

func annotations(m *client.Metadata) map[string]string {
	if m == nil {
		return nil
	}
	return m.Annotations
}

// resource is a credential as the API shows it.
func (h *handler) resource(c service.Credential) client.Credential {
	links := map[string]client.Link{"self": h.link("/v3/registry_credentials/", c.GUID)}
	for _, of := range [...]struct{ kind, path, guid string }{
		{"organization", "/v3/organizations/", c.Scope.Org}, {"space", "/v3/spaces/", c.Scope.Space}, {"app", "/v3/apps/", c.Scope.App},
	} {
		if of.guid != "" {
			links[of.kind] = h.link(of.path, of.guid)
		}
	}
	return client.Credential{
		GUID: c.GUID, CreatedAt: seconds(c.CreatedAt), UpdatedAt: seconds(c.UpdatedAt),
		Location: c.Spelling, Canonical: c.Location.String(), Username: c.LoginUser,
		Scope: c.Scope.Level().String(), Relationships: client.RelationshipsOf(c.Scope),
		Metadata: client.Metadata{Labels: orEmpty(c.Labels), Annotations: orEmpty(c.Annotations)},
		Links:    links, Provider: c.Provider, Settings: c.Settings, SettingsHidden: c.SettingsHidden, Origin: c.Origin, Login: login(c.Login), Warnings: c.Warnings,
	}
}

func login(l *service.LoginState) *client.Login {
	if l == nil {
		return nil
	}
	return &client.Login{
		MintedAt: optional(l.MintedAt), ExpiresAt: optional(l.ExpiresAt), RenewAt: optional(l.RenewAt),
		Failures: l.Failures, Problem: l.Problem,
	}
}

// link returns the link to a resource of the API. There are several in each entry of
// long lists.
func (h *handler) link(path, id string) client.Link {
	return client.Link{Href: h.base + path + url.PathEscape(id)}
}

// seconds returns t as Cloud Foundry's API writes times: UTC, without fractions.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// optional returns nil for the zero time.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = seconds(t)
	return &t
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
