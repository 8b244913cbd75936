package kubernetes

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// object is what is remembered of a Secret: what it has, but for the logins, of
// which there are digests. It is immutable.
type object struct {
	version   string // the resource version
	uid       types.UID
	kind      corev1.SecretType
	immutable bool
	// target is the one whose Secret it is, "" where it is nobody's.
	target string
	// owner is whose Secret it is by its ownerReferences, "KIND NAME".
	owner   string
	adopted bool
	store   string    // storeAnnotation
	expires time.Time // expiryAnnotation
	// accounts is accountsAnnotation.
	accounts string
	// recorded are the record's entries, and present those that it has, by key.
	recorded []recorded
	present  []present
	// newer says that the record is of a format that is not known here.
	newer bool
	// deis says that Deis wrote it.
	deis bool
	// plain says that there is nothing in it but what regcred wrote: it can be
	// replaced without reading it.
	plain bool
}

// Thousands of objects are remembered: small lists are a fraction of small maps.
type (
	recorded struct {
		key string
		delivered
	}
	present struct {
		key    string
		digest digest
	}
)

// record returns the record, which can be changed.
func (o *object) record() record {
	r := record{recordFormat, make(map[string]delivered, len(o.recorded))}
	for _, e := range o.recorded {
		r.Entries[e.key] = e.delivered
	}
	return r
}

// entries returns the digests of what the Secret has, by key.
func (o *object) entries() map[string]digest {
	all := make(map[string]digest, len(o.present))
	for _, e := range o.present {
		all[e.key] = e.digest
	}
	return all
}

// firstExpiry returns when the first of the delivered logins expires; zero: never.
func (o *object) firstExpiry() time.Time { return o.record().expires() }

// observe returns what is to be remembered of a Secret.
func observe(s *corev1.Secret) *object {
	o := &object{
		version: s.ResourceVersion, uid: s.UID, kind: corev1.SecretType(shared(string(s.Type))),
		immutable: s.Immutable != nil && *s.Immutable,
		adopted:   s.Annotations[adoptedAnnotation] == "true",
		store:     shared(s.Annotations[storeAnnotation]),
		accounts:  shared(s.Annotations[accountsAnnotation]),
	}
	if s.Labels[managedByLabel] == managedBy {
		o.target = shared(s.Labels[targetLabel])
	}
	if len(s.OwnerReferences) > 0 {
		o.owner = s.OwnerReferences[0].Kind + " " + s.OwnerReferences[0].Name
	}
	if at, err := time.Parse(time.RFC3339, s.Annotations[expiryAnnotation]); err == nil {
		o.expires = at.UTC()
	}
	record, known := parseRecord(s.Annotations[recordAnnotation])
	o.newer = !known
	o.recorded = make([]recorded, 0, len(record.Entries))
	for _, key := range record.keys() {
		o.recorded = append(o.recorded, recorded{key, record.Entries[key]})
	}
	c := parseContent(s.Type, s.Data[dataKey(s.Type)])
	place := s.Namespace + "/" + s.Name
	o.present = make([]present, 0, len(c.auths))
	for key, value := range c.auths {
		o.present = append(o.present, present{shared(key), newDigest(place, value)})
	}
	o.deis = c.isDeis()
	o.plain = isPlain(s, c)
	return o
}

// isPlain reports whether a Secret is made of nothing but what regcred writes.
func isPlain(s *corev1.Secret, c content) bool {
	for key := range maps.Keys(s.Annotations) {
		if !slices.Contains(annotations, key) {
			return false
		}
	}
	return len(s.Labels) == 2 && len(s.Data) == 1 && len(c.others) == 0 &&
		len(s.OwnerReferences) == 0 && len(s.Finalizers) == 0
}

// newSecret returns an empty Secret as the base of one that is written. Where it is
// to replace one, that is remembered as o.
func newSecret(namespace, name string, kind corev1.SecretType, o *object) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Type:       kind,
	}
	if o != nil {
		s.Type, s.UID, s.ResourceVersion = o.kind, o.uid, o.version
	}
	return s
}

// account is what is remembered of a ServiceAccount. It is immutable.
type account struct {
	version string
	// secrets are the names of its imagePullSecrets.
	secrets []string
}

func observeAccount(a *corev1.ServiceAccount) *account {
	out := &account{version: a.ResourceVersion}
	for _, s := range a.ImagePullSecrets {
		out.secrets = append(out.secrets, shared(s.Name))
	}
	return out
}
