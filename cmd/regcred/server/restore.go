package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/refresh"
)

// A Deis keeps nothing on disk. What a restart needs stands in the Secret of the
// release's own namespace: the login, as it was delivered there, and beside it in an
// annotation its times, with a seal that follows from what it was minted from. A
// login that was minted from other files than today's, or that somebody changed, is
// not taken for a good one. The annotation is in that namespace alone, which has
// registry-secret too.
const loginAnnotation = "regcred.dev/login"

// previous is what was delivered before.
type previous struct {
	// revision is the newest one of the store that is known of.
	revision uint64
	// login is what the release's own namespace has, host where, and seal its seal;
	// zero: nothing that can be understood.
	login regcred.Login
	host  string
	seal  []byte
}

// delivered reads what is there from before, and goes on trying until the API server
// answers: nothing can be delivered before, and a login is not minted twice. It
// returns ctx's error.
func (d *Deis) delivered(ctx context.Context) (previous, error) {
	for failures := 1; ; failures++ {
		secret, err := d.secrets.Get(ctx, d.o.Config.SecretName())
		switch {
		case err == nil:
			return readPrevious(secret.Data[v1.DockerConfigJsonKey], secret.Annotations[loginAnnotation]), nil
		case apierrors.IsNotFound(err):
			return previous{}, nil
		case failures == 1 && ctx.Err() == nil:
			d.log.Warn("what was delivered before cannot be read from Kubernetes yet: trying again until it can", "err", err)
		}
		select {
		case <-time.After(refresh.Backoff(failures, 0, rand.Float64())):
		case <-ctx.Done():
			return previous{}, ctx.Err()
		}
	}
}

// loginRecord is what loginAnnotation holds, as JSON.
type loginRecord struct {
	Revision    uint64    `json:"revision"` // of the store
	MintedAt    time.Time `json:"minted_at"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	RenewableAt time.Time `json:"renewable_at,omitzero"`
	// Seal is HMAC-SHA256 of host, login and its times, by a key that follows from the
	// credential.
	Seal []byte `json:"seal"`
}

// sourceKey follows from all that logins of a credential are minted from.
func sourceKey(c regcred.Credential) []byte {
	secrets := map[string]string{}
	for name, secret := range c.Secrets {
		secrets[name] = secret.Reveal()
	}
	source, err := json.Marshal([]any{c.Provider, c.Spelling, c.Settings, secrets})
	if err != nil {
		panic("server: strings that are no JSON: " + err.Error())
	}
	sum := sha256.Sum256(source)
	return sum[:]
}

// loginSeal returns the seal of a login for a host.
func loginSeal(key []byte, host string, l regcred.Login) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range []string{host, l.Username, l.Password.Reveal(), sealedTime(l.MintedAt), sealedTime(l.ExpiresAt), sealedTime(l.RenewableAt)} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

func sealedTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// annotate returns what is to stand beside the login in the release's own namespace.
func (d *Deis) annotate(namespace string, entries []keyring.Auth) map[string]string {
	t := d.newest.Load()
	if t == nil || namespace != d.o.Config.Namespace {
		return nil
	}
	return t.annotate(entries)
}

// annotate returns the annotations of the Secret that is to have these entries.
func (t *tenure) annotate(entries []keyring.Auth) map[string]string {
	l := t.login()
	if l == nil || len(entries) != 1 || !entries[0].Password.Equal(l.Password) {
		return nil
	}
	text, err := json.Marshal(loginRecord{
		Revision: t.books.Now().Revision(),
		MintedAt: l.MintedAt, ExpiresAt: l.ExpiresAt, RenewableAt: l.RenewableAt,
		Seal: loginSeal(sourceKey(t.credential), hostOfKey(entries[0].Key), *l),
	})
	if err != nil {
		return nil
	}
	return map[string]string{loginAnnotation: string(text)}
}

// hostOfKey returns the host of a key in the dialect Deis, https://HOST.
func hostOfKey(key string) string { return strings.TrimPrefix(key, "https://") }

// readPrevious reads a docker config file and loginAnnotation beside it.
func readPrevious(file []byte, annotation string) previous {
	var r loginRecord
	var config struct {
		Auths map[string]struct {
			Auth []byte `json:"auth"`
		} `json:"auths"`
	}
	if json.Unmarshal([]byte(annotation), &r) != nil {
		return previous{}
	}
	// Whatever somebody wrote there, revisions can grow from it.
	before := previous{revision: min(r.Revision, math.MaxInt64), seal: r.Seal}
	if json.Unmarshal(file, &config) != nil || len(config.Auths) != 1 {
		return before
	}
	for key, entry := range config.Auths {
		username, password, _ := strings.Cut(string(entry.Auth), ":")
		before.host = hostOfKey(key)
		before.login = regcred.Login{
			Username: username, Password: regcred.NewSecret(password), Hosts: []string{before.host},
			MintedAt: r.MintedAt, ExpiresAt: r.ExpiresAt, RenewableAt: r.RenewableAt,
		}
	}
	return before
}

// of reports whether the login was minted from a credential.
func (p previous) of(c regcred.Credential) bool {
	return hmac.Equal(p.seal, loginSeal(sourceKey(c), p.host, p.login))
}

// restore puts the login that was delivered before into the store, where it is still
// valid and was minted from the credential. One that was minted from another is
// dropped: it is to go, also from under the key of another registry, once there is a
// login to take its place.
func (t *tenure) restore(ctx context.Context, before previous) error {
	if !before.of(t.credential) {
		_, err := t.store.DropLogin(ctx, t.credential.GUID)
		return err
	}
	if before.login.Expired(time.Now()) {
		return nil
	}
	stored, err := t.store.Update(ctx, t.credential.GUID, func(c *regcred.Credential) (err error) {
		if c.Location.IsZero() {
			c.Spelling = before.host
			c.Location, err = imageref.ParseLocation(before.host)
		}
		return err
	})
	if err != nil {
		return err
	}
	fence, err := t.store.Fence(ctx)
	if err != nil {
		return err
	}
	login := before.login
	login.Version = stored.Version
	_, err = t.store.PutLogin(ctx, stored.GUID, login, fence)
	return err
}
