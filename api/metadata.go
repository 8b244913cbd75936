package api

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/client"
)

// Bounds of metadata in Cloud Foundry's API v3, in characters.
const (
	maxLabelName  = 63
	maxLabelValue = 63
	maxPrefix     = 253
	maxAnnotation = 5000
)

var (
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+)$`)
)

// reservedPrefix is the platform's own: Cloud Foundry refuses it in metadata.
const reservedPrefix = "cloudfoundry.org"

// checkMetadata returns an Invalid error where labels or annotations break the rules of
// Cloud Foundry's API v3 ("Metadata").
func checkMetadata(labels, annotations map[string]*string) error {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if err := checkKey("label", key); err != nil {
			return err
		}
		if v := labels[key]; v != nil && *v != "" && (len(*v) > maxLabelValue || !labelName.MatchString(*v)) {
			return regcred.Errorf(regcred.Invalid, "Metadata label value error: the value of label '%.80s' has at most %d letters, digits, '-', '_' and '.', and begins and ends with a letter or digit", key, maxLabelValue)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if err := checkKey("annotation", key); err != nil {
			return err
		}
		if v := annotations[key]; v != nil && len([]rune(*v)) > maxAnnotation {
			return regcred.Errorf(regcred.Invalid, "Metadata annotation value error: the value of annotation '%.80s' has more than %d characters", key, maxAnnotation)
		}
	}
	return nil
}

func checkKey(kind, key string) error {
	var problem string
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		prefix, name = "", key
	}
	switch {
	case prefixed && (len(prefix) > maxPrefix || !labelPrefix.MatchString(prefix)):
		problem = "the prefix before '/' is no domain name"
	case strings.EqualFold(prefix, reservedPrefix):
		problem = fmt.Sprintf("the prefix %s is reserved", reservedPrefix)
	case len(name) > maxLabelName || !labelName.MatchString(name):
		problem = fmt.Sprintf("a key has at most %d letters, digits, '-', '_' and '.', and begins and ends with a letter or digit", maxLabelName)
	default:
		return nil
	}
	return regcred.Errorf(regcred.Invalid, "Metadata %s key error: '%.80s': %s", kind, key, problem)
}

// given returns the metadata of a creation, as a change of none.
func given(m *client.Metadata) (labels, annotations map[string]*string) {
	change := func(from map[string]string) map[string]*string {
		to := map[string]*string{}
		for key, value := range from {
			to[key] = &value
		}
		return to
	}
	if m == nil {
		return nil, nil
	}
	return change(m.Labels), change(m.Annotations)
}
