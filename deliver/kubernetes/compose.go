package kubernetes

import (
	"encoding/json"
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"regcred.dev"
	"regcred.dev/keyring"
)

// Bounds of what a Secret takes: the API server's for its data, and for all of its
// annotations, with room for those of others. Both are in bytes.
const (
	maxContent = corev1.MaxSecretSize
	maxRecord  = 192 << 10
)

// compose returns the Secret to write: base with what is planned. base is the one
// that is there, or an empty one where that is as good (blind).
func (p *plan) compose(base *corev1.Secret, target string, book *keyring.Book) (*corev1.Secret, error) {
	s := base.DeepCopy()
	key := dataKey(s.Type)
	c := parseContent(s.Type, s.Data[key])
	if c.auths == nil {
		c.auths = map[string]json.RawMessage{}
	}
	for gone := range p.gone {
		delete(c.auths, gone)
	}
	maps.Copy(c.auths, p.known)
	text, err := c.text(s.Type)
	if err != nil {
		return nil, err
	}
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	s.Data[key] = text
	if len(text) > maxContent {
		return nil, regcred.Errorf(regcred.TooLarge, "the pull secret would have %d bytes, and Kubernetes takes %d: give the namespace a scope with fewer credentials", len(text), maxContent)
	}
	if p.adopting {
		s.OwnerReferences = nil // else its owner would go on writing it, or take it along
	}
	return s, p.mark(s, target, book)
}

// mark puts regcred's labels and annotations on a Secret.
func (p *plan) mark(s *corev1.Secret, target string, book *keyring.Book) error {
	text, err := p.record.text()
	if err != nil {
		return regcred.Errorf(regcred.Invalid, "what was delivered cannot be recorded: %w", err)
	}
	if len(text) > maxRecord {
		return regcred.Errorf(regcred.TooLarge, "the record of %d entries would have %d bytes, and %d are the most that annotations take: give the namespace a scope with fewer credentials",
			len(p.record.Entries), len(text), maxRecord)
	}
	put(&s.Labels, managedByLabel, managedBy)
	put(&s.Labels, targetLabel, target)
	put(&s.Annotations, recordAnnotation, text)
	for name, value := range p.annotations {
		put(&s.Annotations, name, value)
	}
	if p.serves {
		put(&s.Annotations, storeAnnotation, book.StoreID())
		put(&s.Annotations, revisionAnnotation, strconv.FormatUint(book.Revision(), 10))
	}
	delete(s.Annotations, expiryAnnotation)
	if at := p.record.expires(); !at.IsZero() {
		put(&s.Annotations, expiryAnnotation, at.Format(time.RFC3339))
	}
	delete(s.Annotations, accountsAnnotation)
	if p.accounts != "" {
		put(&s.Annotations, accountsAnnotation, p.accounts)
	}
	if p.adopted {
		put(&s.Annotations, adoptedAnnotation, "true")
	}
	return nil
}

func put(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}

// disowned returns a Secret without regcred's marks, its content as it is.
func disowned(base *corev1.Secret) *corev1.Secret {
	s := base.DeepCopy()
	for _, key := range []string{managedByLabel, targetLabel} {
		delete(s.Labels, key)
	}
	for _, key := range annotations {
		delete(s.Annotations, key)
	}
	return s
}
