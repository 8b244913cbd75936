package server

import (
	"context"
	"crypto/x509"
	"os"
	"time"

	"regcred.dev"
	"regcred.dev/clustertoken"
	"regcred.dev/clustertoken/review"
	"regcred.dev/config"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/internal/web"
	"regcred.dev/token"
)

// authenticateKubelet returns the caller that the token of a kubelet stands for: the
// node, where it is an API token, else a workload of a cluster that is trusted.
func (s *Server) authenticateKubelet(ctx context.Context, now time.Time, raw string) (regcred.Caller, error) {
	if token.IsAPIToken(raw) {
		return s.tokens.Authenticate(ctx, now, raw)
	}
	return s.trusted.Authenticate(ctx, now, raw)
}

// clusters are those whose service account tokens are accepted. Nobody is asked yet.
func clusters(list []config.KubernetesTokens) (clustertoken.Clusters, error) {
	var trusted clustertoken.Clusters
	for _, t := range list {
		verifier, err := verifier(t)
		if err != nil {
			return nil, regcred.Errorf(regcred.CodeOf(err), "kubernetes_tokens %s: %w", t.Name, err)
		}
		scopes := scopesOf(t.Scope)
		trusted = append(trusted, clustertoken.Cluster{
			Name: t.Name, Issuer: t.Issuer, Verifier: verifier,
			Scope: func(id clustertoken.Identity) (regcred.Scope, error) { return scopes.Of(id.Namespace, id.Labels) },
		})
	}
	return trusted, nil
}

func verifier(t config.KubernetesTokens) (clustertoken.Verifier, error) {
	if t.Review != nil {
		connection, err := kubernetes.Connect(t.Review.Kubeconfig, t.Review.Context)
		if err != nil {
			return nil, err
		}
		return review.New(review.Options{Config: connection, Audience: t.Audience, Labels: t.Scope.UsesLabels()})
	}
	var o web.Options
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "ca: %w", err)
		}
		if o.RootCAs = x509.NewCertPool(); !o.RootCAs.AppendCertsFromPEM(pem) {
			return nil, regcred.Errorf(regcred.Invalid, "ca: %s holds no certificate in PEM", t.CA)
		}
	}
	return clustertoken.NewOIDC(clustertoken.OIDCOptions{
		Issuer: t.Issuer, Audience: t.Audience, JWKSURL: t.JWKSURL, TokenFile: t.TokenFile, Client: web.New(o),
	}), nil
}

// scopesOf is how a cluster's namespaces find their scopes.
func scopesOf(s config.KubernetesScope) kubernetes.Scopes {
	return kubernetes.Scopes{
		Namespaces: s.Namespaces, OrganizationLabel: s.OrganizationLabel, SpaceLabel: s.SpaceLabel,
		Preset: kubernetes.Preset(s.Preset), DefaultOrganization: s.DefaultOrganization,
	}
}
