package kubernetes

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// feed keeps the table up to date with one kind of object: it is the store that a
// client-go Reflector lists and watches into. It keeps no object itself.
type feed struct {
	what string // for people
	// note makes of an object what is kept of it.
	note func(runtime.Object) any
	// put remembers an object, or with a nil note that it is gone, as of a resource
	// version.
	put func(namespace, name, version string, note any)
	// known calls f with all objects that are remembered.
	known func(f func(namespace, name string))
	// turned is called where requests begin or cease to fail; nil: it is not.
	turned func()

	once   sync.Once
	synced chan struct{} // closed once all was listed

	mu     sync.Mutex
	failed error // why the last request failed, nil where it did not
}

// noted takes the place of an object in what the Reflector keeps while it lists, so
// that no more than that is ever in memory.
type noted struct {
	metav1.ObjectMeta

	note any
}

var _ cache.TransformingStore = (*feed)(nil)

// Transformer implements cache.TransformingStore.
func (f *feed) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return f.reduce(obj) }
}

func (f *feed) reduce(obj any) (*noted, error) {
	switch o := obj.(type) {
	case *noted:
		return o, nil
	case cache.DeletedFinalStateUnknown:
		return f.reduce(o.Obj)
	}
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	return &noted{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.GetNamespace(), Name: m.GetName(), ResourceVersion: m.GetResourceVersion()},
		note:       f.note(obj.(runtime.Object)),
	}, nil
}

// Add implements cache.ReflectorStore.
func (f *feed) Add(obj any) error {
	n, err := f.reduce(obj)
	if err == nil {
		f.put(n.Namespace, n.Name, n.ResourceVersion, n.note)
	}
	return err
}

// Update implements cache.ReflectorStore.
func (f *feed) Update(obj any) error { return f.Add(obj) }

// Delete implements cache.ReflectorStore.
func (f *feed) Delete(obj any) error {
	n, err := f.reduce(obj)
	if err == nil {
		f.put(n.Namespace, n.Name, n.ResourceVersion, nil)
	}
	return err
}

// Replace implements cache.ReflectorStore.
func (f *feed) Replace(list []any, version string) error {
	type key struct{ namespace, name string }
	there := make(map[key]bool, len(list))
	for _, obj := range list {
		n, err := f.reduce(obj)
		if err != nil {
			return err
		}
		there[key{n.Namespace, n.Name}] = true
		f.put(n.Namespace, n.Name, n.ResourceVersion, n.note)
	}
	var gone []key
	f.known(func(namespace, name string) {
		if k := (key{namespace, name}); !there[k] {
			gone = append(gone, k)
		}
	})
	for _, k := range gone {
		f.put(k.namespace, k.name, version, nil)
	}
	f.once.Do(func() { close(f.synced) })
	return nil
}

// Resync implements cache.ReflectorStore.
func (f *feed) Resync() error { return nil }

// error returns why the last request failed.
func (f *feed) error() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// remember keeps how a request went.
func (f *feed) remember(err error) {
	f.mu.Lock()
	turned := (f.failed == nil) != (err == nil)
	f.failed = err
	f.mu.Unlock()
	if turned && f.turned != nil {
		f.turned()
	}
}

// How long a watch that fails waits before it is tried again: a random time up to
// watchJitter more than a bound that doubles.
const (
	watchFirstRetry = 200 * time.Millisecond
	watchLastRetry  = 10 * time.Second
	watchJitter     = 1.0
)

// run keeps the table up to date until ctx ends.
func (f *feed) run(ctx context.Context, lw *cache.ListWatch, kind runtime.Object) {
	list, watcher := lw.ListWithContextFunc, lw.WatchFuncWithContext
	lw.ListWithContextFunc = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		out, err := list(ctx, o)
		f.remember(err)
		return out, err
	}
	lw.WatchFuncWithContext = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		out, err := watcher(ctx, o)
		f.remember(err)
		return out, err
	}
	cache.NewReflectorWithOptions(lw, kind, f, cache.ReflectorOptions{
		Name: f.what, TypeDescription: f.what,
		Backoff: &wait.Backoff{Duration: watchFirstRetry, Cap: watchLastRetry, Steps: 10, Factor: 2, Jitter: watchJitter},
	}).RunWithContext(ctx)
}

// feeds returns what keeps the session's table up to date, each ready to run.
func (s *session) feeds() []func(context.Context) {
	var all []func(context.Context)
	start := func(f *feed, lw *cache.ListWatch, kind runtime.Object) {
		f.synced, f.turned = make(chan struct{}), s.news
		s.sources = append(s.sources, f)
		all = append(all, func(ctx context.Context) { f.run(ctx, lw, kind) })
	}
	spaces := []string{metav1.NamespaceAll}
	if s.o.Namespaced {
		spaces = s.o.Namespaces.Include
		for _, name := range spaces {
			s.table.setNamespace(name, s.o.namespace(name, "", nil))
		}
	} else {
		s.namespaceSource = s.namespaceFeed()
		start(s.namespaceSource, s.client.watchNamespaces(), &metav1.PartialObjectMetadata{})
	}
	for _, space := range spaces {
		start(s.secretFeed(space), s.client.watch(secrets, space, s.o.SecretName), &corev1.Secret{})
		for _, name := range s.o.ServiceAccounts {
			start(s.accountFeed(space, name), s.client.watch(accounts, space, name), &corev1.ServiceAccount{})
		}
	}
	return all
}

func (s *session) namespaceFeed() *feed {
	return &feed{
		what: "namespaces",
		note: func(obj runtime.Object) any {
			return s.o.observeNamespace(obj.(*metav1.PartialObjectMetadata))
		},
		put: func(_, name, _ string, note any) {
			n, _ := note.(*namespace)
			s.table.setNamespace(name, n)
		},
		known: func(f func(string, string)) {
			s.table.each(func(p *place) {
				if p.namespace != nil {
					f("", p.name)
				}
			})
		},
	}
}

func (s *session) secretFeed(space string) *feed {
	return &feed{
		what: "Secrets",
		note: func(obj runtime.Object) any {
			secret := obj.(*corev1.Secret)
			if o := s.table.secret(secret.Namespace); o != nil && o.version == secret.ResourceVersion {
				return o // it was written here
			}
			return observe(secret)
		},
		put: func(namespace, _, version string, note any) {
			o, _ := note.(*object)
			s.table.setSecret(namespace, version, o)
		},
		known: func(f func(string, string)) {
			s.table.each(func(p *place) {
				if p.secret != nil && (space == "" || space == p.name) {
					f(p.name, s.o.SecretName)
				}
			})
		},
	}
}

func (s *session) accountFeed(space, only string) *feed {
	return &feed{
		what: "ServiceAccounts",
		note: func(obj runtime.Object) any { return observeAccount(obj.(*corev1.ServiceAccount)) },
		put: func(namespace, name, _ string, note any) {
			a, _ := note.(*account)
			s.table.setAccount(namespace, name, a)
		},
		known: func(f func(string, string)) {
			s.table.each(func(p *place) {
				for name := range p.accounts {
					if (space == "" || space == p.name) && (only == AllServiceAccounts || only == name) {
						f(p.name, name)
					}
				}
			})
		},
	}
}

// watch lists and watches a resource of the core API, in one namespace or, where
// that is "", in all; with a name, other than "*", only the objects of that name: RBAC
// can then name them.
func (c *client) watch(resource, space, name string) *cache.ListWatch {
	lw := cache.NewListWatchFromClient(c.core, resource, space, fields.Everything())
	if name != AllServiceAccounts {
		lw = cache.NewListWatchFromClient(c.core, resource, space, fields.OneTermEqualSelector(metav1.ObjectNameField, name))
	}
	return lw
}

// watchNamespaces lists and watches the metadata of all namespaces.
func (c *client) watchNamespaces() *cache.ListWatch {
	api := c.namespaces()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return api.List(ctx, o)
		},
		WatchFuncWithContext: api.Watch,
	}
}
