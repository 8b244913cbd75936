package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"regcred.dev/config"
)

// TestShutdownFinishesRequests ends a server while a request is half sent: it is
// answered, and what it asked for is there at the next start.
func TestShutdownFinishesRequests(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	r, stop := start(t, cfg)
	body, sender := io.Pipe()
	// The server says "continue" once an operation reads the body.
	begun := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(begun) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v3/registry_credentials", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.adminToken())
	req.Header.Set("Expect", "100-continue")
	patient := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: patience}}
	answered := make(chan error, 1)
	go func() {
		resp, err := patient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				err = fmt.Errorf("answered %s", resp.Status)
			}
		}
		answered <- err
	}()
	if _, err := io.WriteString(sender, `{"location": "registry.example.com", "username": "u", `); err != nil {
		t.Fatal(err)
	}
	<-begun
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	r.eventually(func() error {
		if !strings.Contains(r.log.String(), "shutting down") {
			return fmt.Errorf("it is not shutting down")
		}
		return nil
	})
	if _, err := io.WriteString(sender, `"password": "p"}`); err != nil {
		t.Fatal(err)
	}
	sender.Close()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	<-stopped
	r, _ = start(t, cfg)
	list, err := r.local.Credentials(t.Context(), nil)
	if err != nil || len(list) != 1 || list[0].Login == nil || list[0].Login.MintedAt == nil {
		t.Errorf("after the restart: %+v, %v", list, err)
	}
}
