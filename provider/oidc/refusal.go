package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/jwt"
	"regcred.dev/provider/internal/said"
)

// refusal returns nil for a success, and else what a token service's answer
// means, in words. subject is the token that it was shown, if any.
func (c *client) refusal(a web.Answer, subject token) error {
	// RFC 6749, section 5.2; Quay has "error" alone, in words. What is not JSON says
	// nothing.
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(a.Body, &body)
	detail := body.Error
	if body.Description != "" {
		detail += ": " + body.Description
	}
	// The secret goes into a header as RFC 6749, section 2.3.1, has it: escaped.
	detail = said.Text(detail, subject.value, c.settings.clientSecret, url.QueryEscape(c.settings.clientSecret))
	if advice := c.advice(a, body.Error, subject); advice != "" {
		detail = strings.TrimSpace(detail + " (" + advice + ")")
	}
	return a.Err(detail)
}

// advice says what to do about an error code of RFC 6749, section 5.2, or RFC
// 8693, section 2.2.2.
func (c *client) advice(a web.Answer, code string, subject token) string {
	if expires, err := jwt.ExpiryOf(subject.value); err == nil && expires.Before(time.Now().Add(a.Skew)) {
		return "the token to exchange expired at " + expires.Format(time.RFC3339)
	}
	switch code {
	case "invalid_client":
		return "are " + settingClientID + " and " + settingClientSecret + " right?"
	case "invalid_grant":
		return "does the token service trust the issuer of the token, and its subject?"
	case "invalid_target":
		return "are " + settingAudience + " and " + settingResource + " right?"
	case "invalid_scope":
		return "is " + settingScope + " right?"
	case "unauthorized_client", "unsupported_grant_type":
		return "the client must be allowed this grant at the token service"
	}
	if c.settings.exchange == exchangeQuay && a.Status == http.StatusUnauthorized {
		return "has the robot account " + c.settings.username + " a federation with the issuer and the subject of the token?"
	}
	return ""
}
