package api

import (
	"net/http"
	"time"

	"regcred.dev"
	"regcred.dev/client"
)

// kubeletRoute releases the login of one image. It alone takes the tokens of
// workloads too.
const kubeletRoute = "POST /regcred/v1/kubelet/login"

func (h *handler) kubeletLogin(r call) (answer, error) {
	if err := knownQuery(r.URL.Query()); err != nil { // a scope, maybe, which only the token names
		return answer{}, err
	}
	var in client.KubeletRequest
	if err := decode(r, &in); err != nil {
		return answer{}, err
	}
	found, err := h.Service.KubeletLogin(r.Context(), r.caller, in.Image)
	if err != nil {
		return answer{}, err
	}
	out := client.KubeletAnswer{Image: found.Image.String(), WholeHost: found.WholeHost}
	if l := found.Login; l != nil {
		out.Login = &client.KubeletLogin{Username: l.Username, Password: l.Password.Reveal()}
		if !l.ExpiresAt.IsZero() {
			left := int64(max(time.Until(l.ExpiresAt), 0) / time.Second)
			out.Login.ExpiresIn = &left
		}
	}
	return answer{status: http.StatusOK, body: out}, nil
}

// kubeletCaller returns who sent a request to kubeletRoute. A token counts on the
// local socket too: a workload gets no more there than elsewhere.
func (h *handler) kubeletCaller(r *http.Request) (regcred.Caller, error) {
	if r.Header.Get("Authorization") == "" {
		return h.caller(r)
	}
	return h.bearer(r, h.AuthenticateKubelet)
}
