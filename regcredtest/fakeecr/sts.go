package fakeecr

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// stsCodes are the codes that STS has in place of the JSON APIs'.
var stsCodes = map[string]string{
	"UnrecognizedClientException":         "InvalidClientTokenId",
	"InvalidSignatureException":           "SignatureDoesNotMatch",
	"ExpiredTokenException":               "ExpiredToken",
	"MissingAuthenticationTokenException": "MissingAuthenticationToken",
}

// query answers a call of STS by the query protocol: a form in, XML out.
func (s *Server) query(w http.ResponseWriter, r *http.Request, body []byte) {
	form, err := url.ParseQuery(string(body))
	call := "sts:" + form.Get("Action")
	if err != nil || r.Method != http.MethodPost || form.Get("Version") != "2011-06-15" {
		call = "malformed"
	}
	switch s.Begin(w, r, call) {
	case fake.Done:
		return
	case fake.Throttle:
		fail(w, http.StatusBadRequest, "Throttling", "Rate exceeded")
		return
	case fake.Serve:
	}
	switch call {
	case AssumeRole:
		s.assumeRole(w, r, form, body)
	case AssumeRoleWithWebIdentity:
		s.assumeByToken(w, form)
	default:
		fail(w, http.StatusBadRequest, "InvalidAction", "Could not find operation "+form.Get("Action")+" for version "+form.Get("Version"))
	}
}

// assumeRole answers AssumeRole. As AWS does, it tells a role that does not exist
// from one that may not be assumed by nothing.
func (s *Server) assumeRole(w http.ResponseWriter, r *http.Request, form url.Values, body []byte) {
	p, _, why := s.authenticate(r, body, "sts")
	if why != nil {
		code := why.code
		if of, ok := stsCodes[code]; ok {
			code = of
		}
		fail(w, http.StatusForbidden, code, why.message)
		return
	}
	arn := form.Get("RoleArn")
	role, known := s.o.Roles[arn]
	if !known || !p.may(AssumeRole) || !slices.Contains(role.Trusts, p.identity) ||
		role.ExternalID != "" && role.ExternalID != form.Get("ExternalId") {
		fail(w, http.StatusForbidden, "AccessDenied", "User: "+p.arn+" is not authorized to perform: sts:AssumeRole on resource: "+arn)
		return
	}
	s.assumed(w, form, "AssumeRole", role)
}

// assumeByToken answers AssumeRoleWithWebIdentity, which is not signed.
func (s *Server) assumeByToken(w http.ResponseWriter, form url.Values) {
	subject, why := s.verify(form.Get("WebIdentityToken"))
	if why != nil {
		fail(w, http.StatusBadRequest, why.code, why.message)
		return
	}
	role, known := s.o.Roles[form.Get("RoleArn")]
	if !known || role.Subject != subject {
		fail(w, http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
		return
	}
	s.assumed(w, form, "AssumeRoleWithWebIdentity", role)
}

// What RoleSessionName and DurationSeconds may be.
var sessionNamePattern = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

const minDuration, maxDuration = 900, 43200

type xmlCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type xmlResult struct {
	Credentials     xmlCredentials
	AssumedRoleUser struct {
		ARN           string `xml:"Arn"`
		AssumedRoleID string `xml:"AssumedRoleId"`
	}
}

// assumed answers with the keys of a new session of a role.
func (s *Server) assumed(w http.ResponseWriter, form url.Values, operation string, role Role) {
	name, lifetime := form.Get("RoleSessionName"), SessionLifetime
	if text := form.Get("DurationSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < minDuration || seconds > maxDuration {
			fail(w, http.StatusBadRequest, "ValidationError", "1 validation error detected: Value '"+text+"' at 'durationSeconds' failed to satisfy constraint")
			return
		}
		lifetime = time.Duration(seconds) * time.Second
	}
	if !sessionNamePattern.MatchString(name) {
		fail(w, http.StatusBadRequest, "ValidationError", "1 validation error detected: Value '"+name+"' at 'roleSessionName' failed to satisfy constraint")
		return
	}
	p := s.session(sessionOf(form.Get("RoleArn"), name, role, s.Now().Add(lifetime)))
	var result xmlResult
	result.Credentials = xmlCredentials{p.accessKeyID, p.secret, p.token, p.expires.UTC().Format(time.RFC3339)}
	result.AssumedRoleUser.ARN, result.AssumedRoleUser.AssumedRoleID = p.arn, "AROAEXAMPLE:"+name
	// The elements are named by the operation: <AssumeRoleResponse><AssumeRoleResult>.
	inner := struct {
		XMLName xml.Name
		xmlResult
	}{xml.Name{Local: operation + "Result"}, result}
	writeXML(w, http.StatusOK, struct {
		XMLName   xml.Name
		Namespace string `xml:"xmlns,attr"`
		Result    any
	}{xml.Name{Local: operation + "Response"}, "https://sts.amazonaws.com/doc/2011-06-15/", inner})
}

// fail answers with an error of the query protocol.
func fail(w http.ResponseWriter, status int, code, message string) {
	type xmlError struct{ Type, Code, Message string }
	writeXML(w, status, struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     xmlError
		RequestID string `xml:"RequestId"`
	}{Error: xmlError{"Sender", code, message}, RequestID: "01234567-89ab-cdef-0123-456789abcdef"})
}

func writeXML(w http.ResponseWriter, status int, v any) {
	body, err := xml.Marshal(v)
	if err != nil {
		panic("fakeecr: an answer that is no XML: " + err.Error())
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
