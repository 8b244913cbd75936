package kubernetes

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"regcred.dev"
)

// lookAgain reads a namespace anew where its labels say whose logins it gets, and
// namespaces are not watched now: it may be another tenant's meanwhile. p is brought up to
// date. Where that fails nothing new may be delivered there.
func (s *session) lookAgain(ctx context.Context, p *place) error {
	if s.namespaceSource == nil || !s.o.Scopes.usesLabels() || s.namespaceSource.error() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := s.client.namespaces().List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, p.name).String(),
	})
	if err != nil {
		err = explain("its labels cannot be read", err)
		return regcred.Errorf(regcred.CodeOf(err), "nothing new is delivered while namespaces are not watched, for it may be another tenant's: %w", err)
	}
	var found *namespace
	for i := range list.Items {
		found = s.o.observeNamespace(&list.Items[i])
	}
	s.table.setNamespace(p.name, found)
	*p = s.table.get(p.name)
	return nil
}

// observeNamespace returns what is to be remembered of a namespace.
func (o *Options) observeNamespace(m *metav1.PartialObjectMetadata) *namespace {
	n := o.namespace(m.Name, m.UID, m.Labels)
	n.ending = m.DeletionTimestamp != nil
	return n
}

// usesLabels reports whether labels of a namespace may say whose logins it gets.
func (s Scopes) usesLabels() bool { return s.OrganizationLabel != "" || s.Preset != "" }
