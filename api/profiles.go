package api

import (
	"net/http"

	"regcred.dev"
	"regcred.dev/client"
)

func (h *handler) listProfiles(r call) (answer, error) {
	page, perPage, err := onlyPaging(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	list, err := h.Service.Profiles(r.Context(), r.caller)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: paged(h, r.URL, list, profileResource, page, perPage)}, nil
}

func profileResource(p regcred.Profile) client.Profile {
	out := client.Profile{Name: p.Name, Provider: p.Provider, Location: p.Location.String()}
	for _, s := range p.Grants {
		out.Grants = append(out.Grants, client.Grant{Scope: s.Level().String(), Relationships: client.RelationshipsOf(s)})
	}
	return out
}
