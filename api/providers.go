package api

import (
	"net/http"

	"regcred.dev"
	"regcred.dev/client"
)

func (h *handler) listProviders(r call) (answer, error) {
	page, perPage, err := onlyPaging(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	list, err := h.Service.Providers(r.Context(), r.caller)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: paged(h, r.URL, list, providerResource, page, perPage)}, nil
}

func (h *handler) getProvider(r call) (answer, error) {
	info, err := h.Service.Provider(r.Context(), r.caller, r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: providerResource(info)}, nil
}

func providerResource(info regcred.ProviderInfo) client.Provider {
	out := client.Provider{
		Name: info.Name, Doc: info.Doc, Hosts: info.Hosts, Permissions: info.Permissions,
		Fields: []client.Field{}, Examples: append([]string{}, info.Examples...),
	}
	for _, f := range info.AllFields() {
		out.Fields = append(out.Fields, client.Field{
			Name: f.Name, Doc: f.Doc, Default: f.Default, Example: f.Example,
			Required: f.Required, Secret: f.Secret, Admin: f.Admin,
		})
	}
	return out
}

func (h *handler) checkCredential(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, "repository"); err != nil {
		return answer{}, err
	}
	guid := r.PathValue("guid")
	report, err := h.Service.Check(r.Context(), r.caller, guid, q.Get("repository"))
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: client.Check{
		GUID: guid, Accepted: report.Accepted, Steps: append([]string{}, report.Steps...), Problem: report.Problem,
	}}, nil
}
