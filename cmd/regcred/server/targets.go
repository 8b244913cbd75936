package server

import (
	"context"
	"log/slog"

	"k8s.io/klog/v2"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/deliver"
	"regcred.dev/deliver/dockerconfig"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/deliver/rancher"
	"regcred.dev/store/sqlite"
)

// newTargets returns the targets of a configuration.
func newTargets(list []config.Target, log *slog.Logger) ([]deliver.Target, error) {
	var targets []deliver.Target
	for _, t := range list {
		if t.Rancher != nil {
			targets = append(targets, newRancherTarget(t, log))
			continue
		}
		if t.Kubernetes != nil {
			target, err := newKubernetes(t, log)
			if err != nil {
				return nil, err
			}
			targets = append(targets, target)
			continue
		}
		targets = append(targets, dockerconfig.New(dockerconfig.Options{
			Name: t.Name, Paths: t.DockerConfig.Paths, Scope: t.Scope, Dialect: t.DockerConfig.For,
			Broaden: t.DockerConfig.Broaden, Adopt: t.DockerConfig.Adopt, Log: log,
		}))
	}
	return targets, nil
}

func newRancherTarget(t config.Target, log *slog.Logger) *rancher.Target {
	r := t.Rancher
	return rancher.New(rancher.Options{
		Name: t.Name, URL: r.URL, AccessKey: r.AccessKey, SecretKey: r.SecretKey, Scope: t.Scope,
		Project: r.Project, Namespace: r.Namespace, AutoCreate: r.AutoCreate, PublicValue: r.PublicValue, NoAdopt: r.NoAdopt,
		Email: r.Email, Broaden: r.Broaden, RootCAs: r.RootCAs, Log: log.With("target", t.Name),
	})
}

func newKubernetes(t config.Target, log *slog.Logger) (*kubernetes.Target, error) {
	k := t.Kubernetes
	to, err := kubernetes.Connect(k.API.Kubeconfig, k.API.Context)
	if err != nil {
		return nil, regcred.Errorf(regcred.CodeOf(err), "target %s: %w", t.Name, err)
	}
	klog.SetSlogLogger(log.With("part", "client-go")) // else it writes to standard error
	o := kubernetes.Options{
		Name: t.Name, Config: to, SecretName: k.SecretName, Dialect: k.Dialect, DockerCfg: k.DockerCfg,
		Namespaces: kubernetes.Namespaces{
			Selector: k.Namespaces.Selector, Include: k.Namespaces.Include, Exclude: k.Namespaces.Exclude,
		},
		Scopes: scopesOf(k.Scope), ServiceAccounts: k.ServiceAccounts, Namespaced: k.Namespaced,
		QPS: k.QPS, Burst: k.Burst, Concurrency: k.Concurrency, Log: log,
	}
	if k.Adopt {
		o.Adopt = kubernetes.AdoptAny
	}
	if k.LeaderElection != nil {
		o.LeaderElection = &kubernetes.LeaderElection{Namespace: k.LeaderElection.Namespace, Name: k.LeaderElection.Name}
	}
	return kubernetes.New(o)
}

// Uninstalled says what Uninstall took away.
type Uninstalled struct {
	Target string `json:"target"`
	// Stores are the ids of those whose logins are gone.
	Stores []string `json:"stores"`
}

// Uninstall takes away what the store of that id delivered to the Kubernetes targets
// of a configuration, or what any store did where it is "". No server that delivers
// to them may run: it would deliver again.
func Uninstall(ctx context.Context, list []config.Target, store string, log *slog.Logger) ([]Uninstalled, error) {
	var out []Uninstalled
	for _, t := range list {
		if t.Kubernetes == nil {
			continue
		}
		target, err := newKubernetes(t, log)
		if err != nil {
			return out, err
		}
		stores := []string{store}
		if store == "" {
			stores, err = target.UninstallAll(ctx)
		} else {
			err = target.Uninstall(ctx, store)
		}
		if err != nil {
			return out, err
		}
		out = append(out, Uninstalled{t.Name, stores})
	}
	return out, nil
}

// StoreID returns the id of the store in a data directory. Errors: Unavailable where
// there is none.
func StoreID(ctx context.Context, dir string) (string, error) {
	s := &Server{cfg: config.Config{DataDir: dir}, log: slog.New(slog.DiscardHandler)}
	exists, err := sqlite.Exists(s.path(databaseName))
	if err != nil {
		return "", err
	}
	if !exists {
		return "", regcred.Errorf(regcred.Unavailable, "there is no store in %s", dir)
	}
	defer s.close()
	if err := s.openStore(ctx); err != nil {
		return "", err
	}
	return s.store.ID(), nil
}
