package review

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/errors"
)

// reason says in few words why the API server gave no answer, and nothing of what it
// was asked.
func reason(ctx context.Context, err error) string {
	switch {
	case errors.IsForbidden(err) || errors.IsUnauthorized(err):
		return "it does not let this server ask: bind the ClusterRole system:auth-delegator, and get on namespaces where labels are trusted, to its user"
	case errors.IsTooManyRequests(err):
		return "it asks to be asked less often"
	case ctx.Err() != nil:
		return "it did not answer in time"
	}
	if code := errors.ReasonForError(err); code != "" {
		return fmt.Sprintf("it answers %s", code)
	}
	return "it cannot be reached"
}
