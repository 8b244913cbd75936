package server

import (
	"context"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"

	"regcred.dev/deliver"
)

// confirmAnnotation on the Secret of the release's own namespace lets go what is held: a
// Deis has no API for it. Its value is how many entries that are, so that an old one lets
// go nothing else; it is removed once it was followed. Nobody but the platform's operators
// may write there.
const confirmAnnotation = "regcred.dev/confirm"

// confirmTimeout bounds the requests that a confirmation takes.
const confirmTimeout = 5 * time.Second

// confirmation follows confirmAnnotation.
type confirmation struct {
	*Deis

	told    int    // for how many entries the log says what to do
	ignored string // the value that was last found to be of no use
}

// look lets go what is held, if it is so many entries as somebody has confirmed.
func (c *confirmation) look(ctx context.Context, t *tenure) {
	held := t.held()
	if len(held) == 0 {
		c.told, c.ignored = 0, ""
		return
	}
	if c.told != len(held) {
		c.told = len(held)
		c.log.Warn("entries are held: to let all of them go, annotate the Secret", "entries", len(held),
			"namespace", c.o.Config.Namespace, "secret", c.o.Config.SecretName(), "annotation", confirmAnnotation+"="+strconv.Itoa(len(held)))
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	secret, err := c.secrets.Get(ctx, c.o.Config.SecretName())
	if err != nil {
		return // the next look may find it
	}
	value := secret.Annotations[confirmAnnotation]
	switch {
	case value == "" || value == c.ignored:
	case value != strconv.Itoa(len(held)):
		c.ignored = value
		c.log.Warn("the annotation confirms another number of entries than are held: nothing is let go", "confirmed", value, "held", len(held))
	default:
		c.follow(ctx, t, secret)
	}
}

// follow takes the annotation away, and then does what it says: it is never followed
// twice.
func (c *confirmation) follow(ctx context.Context, t *tenure, secret *v1.Secret) {
	delete(secret.Annotations, confirmAnnotation)
	if _, err := c.secrets.Update(ctx, secret); err != nil {
		c.log.Warn("what is held is confirmed, and the annotation cannot be removed: trying again", "err", err)
		return
	}
	if err := t.runner.Confirm(c.target.Describe().Name); err != nil {
		c.log.Warn("nothing is let go", "err", err)
		return
	}
	c.log.Info("what was held is let go, as confirmed", "entries", len(t.held()))
}

// held is what waits for an operator. That of nil is nothing.
func (t *tenure) held() []deliver.Hold {
	if t == nil {
		return nil
	}
	return t.runner.Status()[0].Held
}
