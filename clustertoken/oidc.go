package clustertoken

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// leeway is how far the clocks of a cluster and this machine may differ.
const leeway = 30 * time.Second

// maxAge is how long after its issue a token is good at most. The kubelet asks for an
// hour. Who may create pods or tokens may ask for a year, and would keep a way into a
// namespace that is somebody else's by then.
const maxAge = 2 * time.Hour

// algorithms are those that API servers sign with (kube-apiserver's
// --service-account-signing-key-file takes RSA and ECDSA keys).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// OIDC verifies tokens by the keys that their issuer publishes (OpenID Connect
// Discovery 1.0; Kubernetes, "Service account issuer discovery").
//
// It cannot see that a pod or service account is gone: a token then stays good until
// it expires, or maxAge is over. It knows no labels.
type OIDC struct {
	issuer, audience string
	keys             *keySet
}

// NewOIDC returns an OIDC. It asks nobody before the first token.
func NewOIDC(o OIDCOptions) *OIDC {
	return &OIDC{issuer: o.Issuer, audience: o.Audience, keys: &keySet{fetch: newSource(o).keys}}
}

// claims are what the API server signs (k8s.io/kubernetes, pkg/serviceaccount/claims.go).
type claims struct {
	jwt.Claims

	Kubernetes struct {
		Namespace      string `json:"namespace"`
		ServiceAccount object `json:"serviceaccount"`
		Pod            object `json:"pod"`
		Node           object `json:"node"`
	} `json:"kubernetes.io"`
}

type object struct {
	Name string `json:"name"`
}

// Verify implements Verifier.
func (o *OIDC) Verify(ctx context.Context, now time.Time, raw string) (Identity, error) {
	content, err := o.open(ctx, now, raw)
	if err != nil {
		return Identity{}, err
	}
	var c claims
	if err := json.Unmarshal(content, &c); err != nil {
		return Identity{}, refused("its claims are malformed")
	}
	if reason := o.refusal(now, c); reason != "" {
		return Identity{}, refused("%s", reason)
	}
	k := c.Kubernetes
	return Identity{Namespace: k.Namespace, ServiceAccount: k.ServiceAccount.Name, Pod: k.Pod.Name, Node: k.Node.Name}, nil
}

// open returns what a token says where one of the issuer's keys signed it. Of the
// token's header only the algorithm and the key's id are looked at.
func (o *OIDC) open(ctx context.Context, now time.Time, raw string) ([]byte, error) {
	if len(raw) > MaxSize || strings.ContainsAny(raw, "\r\n") {
		return nil, refused("it is no service account token")
	}
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return nil, refused("it is not signed with RS256 or ES256")
	}
	header := jws.Signatures[0].Protected
	if header.JSONWebKey != nil || header.KeyID == "" {
		return nil, refused("it does not say which of the issuer's keys signed it")
	}
	keys, err := o.keys.find(ctx, now, header.KeyID)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if content, err := jws.Verify(key.Key); err == nil {
			return content, nil
		}
	}
	return nil, refused("its signature is not valid")
}

// refusal says in words why a token that the issuer signed is not valid, "" where it
// is.
func (o *OIDC) refusal(now time.Time, c claims) string {
	k := c.Kubernetes
	switch {
	case c.Issuer != o.issuer:
		return "another cluster issued it"
	case !c.Audience.Contains(o.audience):
		return "it is for another audience: the kubelet's serviceAccountTokenAudience and audience in regcred.yaml must be equal"
	case c.Expiry == nil:
		return "it never expires"
	case !now.Before(c.Expiry.Time().Add(leeway)):
		return "it expired at " + c.Expiry.Time().UTC().Format(time.RFC3339)
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()):
		return "it is not valid yet: compare the clocks"
	case c.IssuedAt == nil:
		return "it does not say when it was issued"
	case now.Add(leeway).Before(c.IssuedAt.Time()):
		return "it was issued in the future: compare the clocks"
	case now.Sub(c.IssuedAt.Time()) > maxAge:
		return "it was issued at " + c.IssuedAt.Time().UTC().Format(time.RFC3339) + ": those of the kubelet are renewed each hour"
	case k.Namespace == "" || k.ServiceAccount.Name == "" || c.Subject != "system:serviceaccount:"+k.Namespace+":"+k.ServiceAccount.Name:
		return "it is not of a service account"
	case k.Pod.Name == "":
		return "it is not bound to a pod, as those that the kubelet sends are"
	}
	return ""
}
