package fakeecr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// The values of the header X-Amz-Target, and the media type of both APIs.
const (
	targetECR    = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
	targetPublic = "SpencerFrontendService.GetAuthorizationToken"
	mediaType    = "application/x-amz-json-1.1"
)

// json answers a call by the JSON 1.1 protocol.
func (s *Server) json(w http.ResponseWriter, r *http.Request, body []byte) {
	call, service := GetAuthorizationToken, "ecr"
	if r.Header.Get("X-Amz-Target") == targetPublic {
		call, service = GetPublicAuthorizationToken, "ecr-public"
	}
	switch s.Begin(w, r, call) {
	case fake.Done:
		return
	case fake.Throttle:
		s.refuse(w, refusal{"ThrottlingException", "Rate exceeded"})
		return
	case fake.Serve:
	}
	if why := checkCall(r); why != nil {
		s.refuse(w, *why)
		return
	}
	p, by, why := s.authenticate(r, body, service)
	if why != nil {
		s.refuse(w, *why)
		return
	}
	if call == GetPublicAuthorizationToken {
		s.public(w, p, by.region)
		return
	}
	s.private(w, r, p, by.region, body)
}

// checkCall returns what is wrong with the form of a request.
func checkCall(r *http.Request) *refusal {
	target := r.Header.Get("X-Amz-Target")
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/":
		return &refusal{"UnknownOperationException", ""}
	case target != targetECR && target != targetPublic:
		return &refusal{"UnknownOperationException", ""}
	case r.Header.Get("Content-Type") != mediaType:
		return &refusal{"SerializationException", "the media type is " + r.Header.Get("Content-Type")}
	}
	return nil
}

var accountPattern = regexp.MustCompile(`^[0-9]{12}$`)

// private answers GetAuthorizationToken of ECR: an object for each of registryIds, or
// one for the account of whoever asks.
func (s *Server) private(w http.ResponseWriter, r *http.Request, p principal, region string, body []byte) {
	var in struct {
		RegistryIDs []string `json:"registryIds"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		s.refuse(w, refusal{"SerializationException", err.Error()})
		return
	}
	if !p.may(GetAuthorizationToken) {
		s.refuse(w, notAuthorized(p, GetAuthorizationToken))
		return
	}
	if in.RegistryIDs == nil {
		in.RegistryIDs = []string{p.account()}
	}
	var list []map[string]any
	for _, id := range in.RegistryIDs {
		if !accountPattern.MatchString(id) {
			s.refuse(w, refusal{"InvalidParameterException", "Invalid parameter at 'registryIds' failed to satisfy constraint: 'Member must satisfy regular expression pattern: [0-9]{12}'"})
			return
		}
		entry := s.data(p.identity+" "+id+" "+region, id)
		entry["proxyEndpoint"] = s.proxyEndpoint(id, region, r.Host)
		list = append(list, entry)
	}
	s.answer(w, map[string]any{"authorizationData": list})
}

// public answers that of ECR Public: one object, without proxyEndpoint.
func (s *Server) public(w http.ResponseWriter, p principal, region string) {
	if region != "us-east-1" {
		s.refuse(w, refusal{"InvalidSignatureException", "Credential should be scoped to a valid region."})
		return
	}
	for _, action := range []string{GetPublicAuthorizationToken, GetServiceBearerToken} {
		if !p.may(action) {
			s.refuse(w, notAuthorized(p, action))
			return
		}
	}
	s.answer(w, map[string]any{"authorizationData": s.data(p.identity+" public", p.account())})
}

func notAuthorized(p principal, action string) refusal {
	return refusal{"AccessDeniedException", "User: " + p.arn + " is not authorized to perform: " + action + " on resource: * because no identity-based policy allows the " + action + " action"}
}

// data returns an AuthorizationData for whom key names.
func (s *Server) data(key, account string) map[string]any {
	if s.o.Constant {
		return map[string]any{
			"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + account + "-auth-token")),
			"expiresAt":          time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).Unix(),
		}
	}
	t := s.Issue(key, "eyJwYXlsb2FkIjoi")
	data := map[string]any{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + t.Value)),
		"expiresAt":          float64(t.Expires.UnixMilli()) / 1000,
	}
	switch s.Quirks().Garbage {
	case NoToken:
		data["authorizationToken"] = ""
	case NoExpiry:
		delete(data, "expiresAt")
	case BadExpiry:
		data["expiresAt"] = t.Expires.Add(-100 * 365 * 24 * time.Hour).Unix()
	case HTML, Cut, Void, Huge: // answer's
	}
	return data
}

// proxyEndpoint names a registry, in the partition of the host that was asked.
func (s *Server) proxyEndpoint(account, region, host string) string {
	if s.o.ProxyEndpoint != "" {
		return s.o.ProxyEndpoint
	}
	domain := "amazonaws.com"
	switch {
	case strings.HasSuffix(host, ".cn"):
		domain = "amazonaws.com.cn"
	case strings.HasSuffix(host, ".eu"):
		domain = "amazonaws.eu"
	}
	return "https://" + account + ".dkr.ecr." + region + "." + domain
}

func (s *Server) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", mediaType)
	s.Write(w, http.StatusOK, v)
}

// refuse answers with an error of the JSON 1.1 protocol.
func (s *Server) refuse(w http.ResponseWriter, why refusal) {
	w.Header().Set("Content-Type", mediaType)
	s.Write(w, http.StatusBadRequest, map[string]string{"__type": why.code, "message": why.message})
}
