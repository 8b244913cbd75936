package kubernetes

import (
	"bytes"
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// content is the docker config file in a Secret. Of type kubernetes.io/dockercfg it
// is the map of its entries alone; of type kubernetes.io/dockerconfigjson they are
// in the member "auths" of an object, whose other members no kubelet reads.
type content struct {
	others map[string]json.RawMessage
	auths  map[string]json.RawMessage // by key
}

// dataKey returns the key in a Secret's data under which its type has the file, ""
// for a type that is no pull secret.
func dataKey(kind corev1.SecretType) string {
	switch kind {
	case corev1.SecretTypeDockerConfigJson:
		return corev1.DockerConfigJsonKey
	case corev1.SecretTypeDockercfg:
		return corev1.DockerConfigKey
	}
	return ""
}

// parseContent reads the file of a Secret of that type. What cannot be understood
// is left out: no kubelet reads it either.
func parseContent(kind corev1.SecretType, file []byte) content {
	c := content{auths: map[string]json.RawMessage{}}
	if kind == corev1.SecretTypeDockercfg {
		_ = json.Unmarshal(file, &c.auths)
		return c
	}
	_ = json.Unmarshal(file, &c.others)
	_ = json.Unmarshal(c.others["auths"], &c.auths)
	delete(c.others, "auths")
	return c
}

// text returns the file of a Secret of that type. The same content always gives the
// same bytes.
func (c content) text(kind corev1.SecretType) ([]byte, error) {
	auths := c.auths
	if auths == nil {
		auths = map[string]json.RawMessage{}
	}
	if kind == corev1.SecretTypeDockercfg {
		return json.Marshal(auths)
	}
	entries, err := json.Marshal(auths)
	if err != nil {
		return nil, err
	}
	file := map[string]json.RawMessage{"auths": entries}
	maps.Copy(file, c.others)
	return json.Marshal(file)
}

// deisEmail is the email of every entry that Deis writes.
const deisEmail = "none@none.com"

// isDeis reports whether the only entry is one that Deis wrote.
func (c content) isDeis() bool {
	for _, value := range c.auths {
		var entry struct {
			Email string `json:"email"`
		}
		return len(c.auths) == 1 && json.Unmarshal(value, &entry) == nil && entry.Email == deisEmail
	}
	return false
}

// canonical returns a JSON value in a form that is equal for equal values: without
// white space, the members of objects sorted. Numbers stay as they were written.
func canonical(value []byte) []byte {
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return value
	}
	out, err := json.Marshal(v)
	if err != nil {
		return value
	}
	return out
}
