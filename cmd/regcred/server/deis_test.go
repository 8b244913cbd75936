package server_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

// TestDeisIdle runs where there is nothing to refresh: it says so once, stays up, and
// needs neither registry-secret nor Kubernetes.
func TestDeisIdle(t *testing.T) {
	for location, want := range map[string]string{
		"off-cluster": "Deis's controller itself writes the secrets private-registry-off-cluster",
		"on-cluster":  "the registry in the cluster",
	} {
		log := new(lockedBuffer)
		ctx, cancel := context.WithCancel(t.Context())
		d, err := server.OpenDeis(ctx, server.DeisOptions{
			Config: config.Deis{Location: location, SecretPrefix: "private-registry", Listen: "127.0.0.1:0", Notes: []string{"a note"}},
			Log:    slog.New(slog.NewTextHandler(log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		r := &running{t: t, url: "http://" + d.Addr()}
		for _, page := range []string{"/healthz", "/readyz", "/metrics"} {
			if err := r.get(page, ""); err != nil {
				t.Errorf("%s: %v", location, err)
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("%s: it ended with %v", location, err)
		default:
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: it ended with %v", location, err)
		}
		if said := log.String(); strings.Count(said, want) != 1 || strings.Count(said, "a note") != 1 {
			t.Errorf("%s: it says %s", location, said)
		}
	}
}

func TestDeisAddressInUse(t *testing.T) {
	o := server.DeisOptions{Config: config.Deis{Location: "on-cluster", Listen: "127.0.0.1:0"}, Log: slog.New(slog.DiscardHandler)}
	d, err := server.OpenDeis(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Config.Listen = d.Addr()
	if _, err := server.OpenDeis(t.Context(), o); err == nil || !strings.Contains(err.Error(), "choose another address with REGCRED_LISTEN") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx); err != nil {
		t.Error(err)
	}
}
