package server

import (
	"context"
	"time"

	"regcred.dev"
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
